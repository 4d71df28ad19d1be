"""The HTTP API: `create_app`, and all code that uses the web framework."""

from app.api.application import create_app

__all__ = ["create_app"]
