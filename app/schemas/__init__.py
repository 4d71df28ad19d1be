"""The wire models of all requests and responses."""
