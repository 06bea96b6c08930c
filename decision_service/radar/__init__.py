"""Record intake at scale: feed files become validated records in the store."""
