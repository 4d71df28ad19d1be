"""The only package that leans on what Ray does not promise. Its private imports stand in functions, so that a Ray
without one of them still runs the service, by Serve's own way (`probe`)."""
