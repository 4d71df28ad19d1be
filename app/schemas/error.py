"""Every error's answer on the native routes."""

from pydantic import Field

from app.schemas.wire import Wire


class ErrorBody(Wire):
    code: str = Field(description="For programs, e.g. invalid_request; the statuses' descriptions list them.")
    message: str = Field(description="For people: what is wrong and how to mend it.")
    param: str | None = Field(description="The field at fault, e.g. texts.3")
    request_id: str = Field(description="The x-request-id you sent, or one made here; finds the request in the log.")


class ErrorResponse(Wire):
    error: ErrorBody = Field(description="What went wrong.")
