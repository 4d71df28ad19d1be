"""The wire: how bodies are read, negotiated and written."""
