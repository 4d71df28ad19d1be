"""Small programs that use the service, and the making of shapes-clip."""
