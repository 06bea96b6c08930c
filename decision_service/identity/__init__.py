"""Who a client is: its public keys, what it signs to get an access token, the tokens (JOSE, OAuth 2.0)."""
