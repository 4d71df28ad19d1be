"""Middleware: what each request passes before and after its endpoint."""
