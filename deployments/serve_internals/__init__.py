"""The only package that leans on what Ray does not promise."""
