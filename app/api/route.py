"""What a route is: everything that is known of it, said once. The table is `app.api.routes`."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass
from typing import Literal

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from app.api.wire.error_formats import Dialect
from app.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    PayloadTooLarge,
    RequestRejected,
    ServiceError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
)
from app.schemas import Json, Wire
from app.types import KeyScope, Modality

Scope = KeyScope | Literal["open"]
Handler = Callable[[Request], Awaitable[Response]]

# What reading a body, calling another deployment and asking a model can end in.
BODY = (InvalidRequest, PayloadTooLarge, UnsupportedMediaType)
CALLS = (Overloaded, Unavailable, DeadlineExceeded)
ENCODES = (*BODY, ModelNotFound, ModelUnavailable, RequestRejected, *CALLS)


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Args:
        path: As Starlette reads it.
        scope: What an API key must have, where keys are asked for; "open" for routes that answer anybody.
        errors: What it can answer beside `InternalError`, which every route can.
        example: A request body that works on the default models.
        statuses: Other statuses that answer with `response`.
        upload: It takes a multipart form as well; the schema of that form.
        media: Of its answer.
        optional_body: An empty body is fine.
        short: An open route's answer to callers without a key that may `read`, where keys are asked for.
        matrix_answer: It answers with a matrix of bytes as well, as `Accept` says.
        matrix_body: It takes a matrix of bytes as well.
        body_limit: The field of `Limits` that its handler holds the body against.
        is_file: Its answer has an ETag, and is a 304 for who has it already.
        needs: All its requests need a model of this kind: while every one of these is full, most are refused unread.
        errors_as: Whose clients read its errors.
        is_traced: False where machines ask every few seconds: a trace of each would hide the others.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    request: type[Wire] | None = None
    response: type[BaseModel] | None = None
    errors: tuple[type[ServiceError], ...] = ()
    example: Json | None = None
    statuses: tuple[int, ...] = ()
    upload: Json | None = None
    media: str = "application/json"
    optional_body: bool = False
    short: type[Wire] | None = None
    _: KW_ONLY
    scope: Scope
    matrix_answer: bool = False
    matrix_body: bool = False
    body_limit: str = ""
    is_file: bool = False
    needs: Modality | None = None
    errors_as: Dialect = "native"
    is_traced: bool = True

    @property
    def template(self) -> str:
        """The path as OpenAPI writes it."""
        return re.sub(r":\w+}", "}", self.path)

    @property
    def refusals(self) -> tuple[type[ServiceError], ...]:
        """What the authenticator can answer in its place."""
        return () if self.scope == "open" else (Unauthorized, Forbidden, TooManyRequests)

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)", self.path)
