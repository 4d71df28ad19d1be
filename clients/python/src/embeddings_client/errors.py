"""The errors a client can see; a class is an HTTP status and a code.

    ServiceError
    ├── InvalidRequest 400 invalid_request
    │   ├── EmptyInput 400 invalid_request
    │   ├── InvalidItem 400 invalid_item
    │   │   └── UnknownToken 400 unknown_token
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
    │   └── NotFinite 500 not_finite
    ├── Unavailable 503 unavailable
    │   ├── ModelUnavailable 503 model_unavailable
    │   ├── CacheUnavailable 503 cache_unavailable
    │   └── RequestRejected 503 request_rejected
    └── DeadlineExceeded 504 deadline_exceeded

The service raises these classes, and the client raises them again; `failures` adds those without a response.
"""


class ServiceError(Exception):
    """Base class of the errors that become an HTTP response.

    Args:
        message: What is wrong and how to fix it, for the client.
        param: The field at fault, e.g. ``texts.3``.
        retry_after: Seconds after which a retry makes sense.
    """

    status = 500
    code = "internal_error"
    # Set by the client: the id of the response that carried this error.
    request_id: str | None = None
    # About so many items would have been in time, of a request that was not.
    max_items: int | None = None

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
    """The input is empty. TEI's API reports this case with a type of its own."""


class InvalidItem(InvalidRequest):
    """One item of several is invalid; `param` contains its index."""

    code = "invalid_item"


class UnknownToken(InvalidItem):
    """The item has a token for which the model has no vector: its tokenizer knows more than its table has rows."""

    code = "unknown_token"


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
    """The response can't be written in any media type that the client accepts."""

    status = 406
    code = "not_acceptable"


class SpaceMismatch(ServiceError):
    """The vectors to compare come from different models."""

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


class NotFinite(InternalError):
    """The model's vector of this item holds NaN or infinity."""

    code = "not_finite"


class Unavailable(ServiceError):
    status = 503
    code = "unavailable"


class ModelUnavailable(Unavailable):
    code = "model_unavailable"


class CacheUnavailable(Unavailable):
    code = "cache_unavailable"


class RequestRejected(Unavailable):
    """The item has crashed two replicas; it is not retried again."""

    code = "request_rejected"


class DeadlineExceeded(ServiceError):
    status = 504
    code = "deadline_exceeded"
