"""The credit portrait: 32 indicators in 6 categories from an enterprise's records; pure."""
