"""The error response of the native routes."""

from pydantic import Field

from app.schemas.wire import Wire


class ErrorBody(Wire):
    code: str = Field(description="For programs, e.g. invalid_request; the statuses' descriptions list them.")
    message: str = Field(description="For people: what is wrong and how to fix it.")
    param: str | None = Field(description="The field at fault, e.g. texts.3")
    request_id: str = Field(
        description="The x-request-id that you sent, or a generated one; identifies the request in the log."
    )


class ErrorResponse(Wire):
    error: ErrorBody = Field(description="What went wrong.")
