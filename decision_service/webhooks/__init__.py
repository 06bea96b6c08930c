"""Webhooks: events of the log sent to the endpoints that clients named, signed, in order and at least once."""
