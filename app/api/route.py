"""Route: all properties of a route in one place. The table of routes is `app.api.routes`."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app import errors
from app.api.wire.json_response import ErrorFormat
from app.errors import ServiceError
from app.schemas.wire import Json, Wire
from app.words import KeyScope, Kind

Scope = KeyScope | Literal["open"]
# Of a request and the replica's `Backend`.
Handler = Callable[[Request, Any], Awaitable[Response]]

# A red square, 8 x 8.
EXAMPLE_PNG: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAEUlEQVR42mP8z4AdMDEMKQkAzUEBD7t4NqoAAAAASUVORK5CYII="
)
# The errors of reading a body, of calling another deployment, and of embedding.
BODY = (errors.InvalidRequest, errors.PayloadTooLarge, errors.UnsupportedMediaType)
CALLS = (errors.Overloaded, errors.Unavailable, errors.DeadlineExceeded)
MODEL = (errors.ModelNotFound, errors.ModelUnavailable)
ENCODES = (*BODY, errors.UnknownToken, errors.NotFinite, *MODEL, errors.RequestRejected, *CALLS)

_OF_OTHERS: Final[dict[ErrorFormat, str]] = {
    "openai": "OpenAI's API",
    "tei": "The API of text-embeddings-inference",
    "cohere": "Cohere's API",
    "voyage": "Voyage's API",
    "plain": "Ollama's API and Weaviate's modules",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Args:
        path: In Starlette's syntax.
        scope: The scope that an API key needs, if keys are required; "open": no key is needed.
        errors: Possible errors besides `InternalError`, which every route may return.
        example: A request body that works with the default models.
        statuses: Other statuses that return `response`.
        upload: The schema of the multipart form that it accepts as well.
        short: The reduced response of an open route for callers without the `read` scope, if keys are required.
        truncates: Whether inputs that are longer than the model reads are truncated.
        matrix_answer: Whether it can return a binary matrix, according to `Accept`.
        body_limit: The field of `Limits` that limits the size of the body.
        is_file: Whether the response has an ETag and may be a 304.
        errors_may_be: Other formats of errors, of clients that are known by the body of their request.
        needs: The kind of model that all its requests need; if all of these are overloaded, most are rejected unread.
        is_traced: False for routes that machines poll every few seconds; their traces would hide the others.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    response: type[BaseModel] | None = None
    request: type[Wire] | None = None
    errors: tuple[type[ServiceError], ...] = ()
    example: Json | None = None
    statuses: tuple[int, ...] = ()
    upload: Json | None = None
    media: str = "application/json"
    optional_body: bool = False
    short: type[Wire] | None = None
    _: KW_ONLY
    scope: Scope
    truncates: bool = False
    matrix_answer: bool = False
    matrix_body: bool = False
    body_limit: str = ""
    is_file: bool = False
    needs: Kind | None = None
    errors_as: ErrorFormat = "native"
    errors_may_be: tuple[ErrorFormat, ...] = ()
    is_traced: bool = True

    @property
    def template(self) -> str:
        """The path in OpenAPI's syntax."""
        return re.sub(r":\w+}", "}", self.path)

    @property
    def group(self) -> str:
        """The heading of the documents under which it stands."""
        if self.scope == "open":
            return "Health, pages and documents"
        if self.needs == "rerank":
            return "Rerank"
        return _OF_OTHERS.get(self.errors_as) or ("Embed and search" if self.scope == "embed" else "Cache and metrics")

    @property
    def error_formats(self) -> tuple[ErrorFormat, ...]:
        return self.errors_as, *self.errors_may_be

    @property
    def refusals(self) -> tuple[type[ServiceError], ...]:
        """The errors of the authenticator."""
        return () if self.scope == "open" else (errors.Unauthorized, errors.Forbidden, errors.TooManyRequests)

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)", self.path)


def plain_path(path: str) -> str:
    """Single slashes and none at the end: `//embed/` -> `/embed`. Clients join a base URL and a path in these ways.
    Nor a line end, which Starlette's routes overlook."""
    return re.sub("/{2,}", "/", path).rstrip("/\n") or "/" if "//" in path or path[-1:] in ("/", "\n") else path
