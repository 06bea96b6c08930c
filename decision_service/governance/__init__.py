"""Care for the data that decisions rest on: objections to records and decisions, and what follows from them."""
