"""The HTTP API: `create_app` and all that knows the web framework. What a request does is
`app.service.embedding_service`'s."""

from app.api.application import create_app

__all__ = ["create_app"]
