"""Middleware: code that runs before and after the endpoints."""
