"""Turns error responses into the classes of `errors`, and adds classes for failures without a response.

    Unavailable
    └── Unreachable 503 unreachable            no connection, or it broke
    DeadlineExceeded
    └── TimedOut 504 timed_out                 no response within the client's timeout
    InternalError
    └── UnreadableAnswer 500 unreadable_answer the response is not one of this service

Their statuses are those that a gateway would use. `retry` decides what is retried.
"""

import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from embeddings_client import errors
from embeddings_client.errors import DeadlineExceeded, InternalError, InvalidRequest, ServiceError, Unavailable

_EXCERPT = 200


class Unreachable(Unavailable):
    code = "unreachable"


class TimedOut(DeadlineExceeded):
    code = "timed_out"


class UnreadableAnswer(InternalError):
    code = "unreadable_answer"


_CLASSES: list[type[ServiceError]] = [
    class_
    for class_ in vars(errors).values()
    if isinstance(class_, type) and issubclass(class_, ServiceError) and class_ is not ServiceError
]
# `errors` defines base classes first, so the first class with a code or a status is the most general one.
_BY_CODE = {class_.code: class_ for class_ in reversed(_CLASSES)}
_BY_STATUS = {class_.status: class_ for class_ in reversed(_CLASSES)}


def error_of(response: httpx.Response) -> ServiceError:
    """The error of this response, with its status, code and request id."""
    body = error_body(response)
    code, status = body.get("code"), response.status_code
    message = body.get("message") or _default_message(response)
    error = error_class(code, status)(message, body.get("param"), retry_after_s(response.headers))
    error.status = status
    if isinstance(code, str):
        error.code = code
    error.request_id = body.get("requestId") or response.headers.get("x-request-id")
    most = response.headers.get("x-embedding-max-items", "")
    error.max_items = int(most) if most.isdecimal() else None
    return error


def error_class(code: object, status: int) -> type[ServiceError]:
    """The class of this code; for unknown codes, as those of newer servers and of gateways, the class of the status."""
    if isinstance(code, str) and code in _BY_CODE:
        return _BY_CODE[code]
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status == 502:
        return Unavailable
    if 400 <= status < 500:
        return InvalidRequest
    return InternalError if status > 500 else UnreadableAnswer


def failure_of(error: httpx.RequestError, url: str) -> ServiceError:
    """The error of a request without a response. `url`: the service's, for the message."""
    cause = re.sub(r"\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    hint = " Is the service running?" if re.search("refused|attempts failed", cause) else ""
    if "WRONG_VERSION" in cause:
        cause, hint = "it does not speak TLS", " Does its URL begin with http://?"
    failure: ServiceError
    match error:
        case httpx.ReadTimeout() | httpx.WriteTimeout():
            failure = TimedOut(f"{url} did not answer in time.")
        case httpx.TimeoutException() | httpx.NetworkError() | httpx.RemoteProtocolError() | httpx.ProxyError():
            failure = Unreachable(f"{url} can't be reached: {cause}.{hint}")
        case _:
            failure = UnreadableAnswer(f"The request to {url} failed: {cause}.")
    failure.__cause__ = error
    return failure


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds from `Retry-After`, a number or a date; None if it is missing or invalid."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", value):
        return float(value)
    then = _seconds(value)
    if then is None:
        return None
    # Relative to the sender's clock, since ours may be wrong.
    now = _seconds(headers.get("date", ""))
    return max(0.0, then - (time.time() if now is None else now))


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def with_shifted_index(error: ServiceError, field: str, by: int) -> ServiceError:
    """The same error, with its index relative to the caller's items instead of the request's."""
    if by == 0 or not error.param:
        return error
    pattern = re.compile(rf"^{field}\.(\d+)")
    found = pattern.match(error.param)
    if found is None:
        return error
    param = f"{field}.{int(found[1]) + by}{error.param[found.end() :]}"
    message = error.message.replace(f"`{error.param}`", f"`{param}`")
    shifted = type(error)(message, param, error.retry_after)
    shifted.status, shifted.code, shifted.request_id = error.status, error.code, error.request_id
    shifted.__cause__ = error.__cause__
    return shifted


def error_body(response: httpx.Response) -> dict[str, Any]:
    """The `error` object of a response; {} if it has none."""
    try:
        error = orjson.loads(response.content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _default_message(response: httpx.Response) -> str:
    text = " ".join(re.sub(r"<[^>]*>", " ", response.text[: 10 * _EXCERPT]).split())[:_EXCERPT]
    return f"The response is {response.status_code} {response.reason_phrase}: {text or 'its body is empty'}"
