"""The errors a client can see; a class is an HTTP status and a code.

    ServiceError
    ├── InvalidRequest 400 invalid_request
    │   ├── EmptyInput 400 invalid_request
    │   ├── InvalidItem 400 invalid_item
    │   └── InvalidImage 400 invalid_image
    ├── Unauthorized 401 unauthorized
    ├── Forbidden 403 forbidden
    ├── NotFound 404 not_found
    │   └── ModelNotFound 404 model_not_found
    ├── MethodNotAllowed 405 method_not_allowed
    ├── NotAcceptable 406 not_acceptable
    ├── SpaceMismatch 409 space_mismatch
    ├── PayloadTooLarge 413 payload_too_large
    ├── UnsupportedMediaType 415 unsupported_media_type
    ├── TooManyRequests 429 too_many_requests
    │   └── Overloaded 429 overloaded
    ├── InternalError 500 internal_error
    ├── Unavailable 503 unavailable
    │   ├── ModelUnavailable 503 model_unavailable
    │   ├── CacheUnavailable 503 cache_unavailable
    │   └── RequestRejected 503 request_rejected
    └── DeadlineExceeded 504 deadline_exceeded

Nothing here knows how an error is written on the wire; `app.api` does.
"""


class ServiceError(Exception):
    """Base of every error with an answer of its own.

    Args:
        message: What is wrong and how to mend it, in words for the client.
        param: The offending field, e.g. ``texts.3``.
        retry_after: Seconds after which trying again makes sense.
    """

    status = 500
    code = "internal_error"
    # Of the answer that said so, where a client raises it.
    request_id: str | None = None

    def __init__(self, message: str, param: str | None = None, retry_after: float | None = None) -> None:
        # Every argument goes to the base: pickle rebuilds exceptions from `args`, and errors cross processes.
        super().__init__(message, param, retry_after)
        self.message = message
        self.param = param
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message


class InvalidRequest(ServiceError):
    status = 400
    code = "invalid_request"


class EmptyInput(InvalidRequest):
    """There is nothing to work on; some APIs tell this apart."""


class InvalidItem(InvalidRequest):
    """One item of many is wrong; `param` names its index."""

    code = "invalid_item"


class InvalidImage(InvalidRequest):
    code = "invalid_image"


class Unauthorized(ServiceError):
    status = 401
    code = "unauthorized"


class Forbidden(ServiceError):
    status = 403
    code = "forbidden"


class NotFound(ServiceError):
    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    code = "model_not_found"


class MethodNotAllowed(ServiceError):
    status = 405
    code = "method_not_allowed"


class NotAcceptable(ServiceError):
    """The answer can't be written in any form that the client takes."""

    status = 406
    code = "not_acceptable"


class SpaceMismatch(ServiceError):
    """Vectors of different models were to be compared."""

    status = 409
    code = "space_mismatch"


class PayloadTooLarge(ServiceError):
    status = 413
    code = "payload_too_large"


class UnsupportedMediaType(ServiceError):
    status = 415
    code = "unsupported_media_type"


class TooManyRequests(ServiceError):
    status = 429
    code = "too_many_requests"


class Overloaded(TooManyRequests):
    code = "overloaded"


class InternalError(ServiceError):
    pass


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"


class ModelUnavailable(Unavailable):
    code = "model_unavailable"


class CacheUnavailable(Unavailable):
    code = "cache_unavailable"


class RequestRejected(Unavailable):
    """The item killed a replica twice; it is not tried again."""

    code = "request_rejected"


class DeadlineExceeded(ServiceError):
    status = 504
    code = "deadline_exceeded"
