"""The HTTP API: all code that uses the web framework."""
