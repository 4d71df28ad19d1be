"""What a route is: everything that is known of it, said once. The table is `app.api.routes`."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app.api.dialects import Dialect, dialect_of
from app.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    PayloadTooLarge,
    ServiceError,
    Unavailable,
    UnsupportedMediaType,
)
from app.schemas import Json, Wire

Handler = Callable[[Request], Awaitable[Response]]

# What reading a body, calling another deployment and asking a model can end in.
BODY = (InvalidRequest, PayloadTooLarge, UnsupportedMediaType)
CALLS = (Overloaded, Unavailable, DeadlineExceeded)
ENCODES = (*BODY, ModelNotFound, ModelUnavailable, *CALLS)


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Args:
        path: As Starlette reads it.
        errors: What it can answer beside `InternalError`, which every route can.
        example: A request body that works on the default models.
        statuses: Other statuses that answer with `response`.
        upload: It takes a multipart form as well; the schema of that form.
        media: Of its answer.
        optional_body: An empty body is fine.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    request: type[Wire] | None = None
    response: type[Wire] | None = None
    errors: tuple[type[ServiceError], ...] = ()
    example: Json | None = None
    statuses: tuple[int, ...] = ()
    upload: Json | None = None
    media: str = "application/json"
    optional_body: bool = False

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return re.sub(r":\w+}", "}", self.path)

    @property
    def errors_as(self) -> Dialect:
        return dialect_of(self.path)

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)", self.path)
