"""Answers that are errors become the classes of `app.errors`; here are those for which there is no answer.

    Unavailable
    └── Unreachable 503 unreachable            no connection, or it broke
    DeadlineExceeded
    └── TimedOut 504 timed_out                 no answer within the client's own time
    InternalError
    └── UnreadableAnswer 500 unreadable_answer what answers is not this service, or not well

Their statuses are those that a gateway would give. Whether to try again is `retry`'s to say.
"""

import re
import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import orjson

from app import errors
from app.errors import DeadlineExceeded, InternalError, InvalidRequest, ServiceError, Unavailable

_SHOWN = 200


class Unreachable(Unavailable):
    code = "unreachable"


class TimedOut(DeadlineExceeded):
    code = "timed_out"


class UnreadableAnswer(InternalError):
    code = "unreadable_answer"


_KINDS: list[type[ServiceError]] = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, ServiceError) and kind is not ServiceError
]
# The first of a code or a status is the general one: the tree is written from its root.
_BY_CODE = {kind.code: kind for kind in reversed(_KINDS)}
_BY_STATUS = {kind.status: kind for kind in reversed(_KINDS)}


def error_of(response: httpx.Response) -> ServiceError:
    """The class by code, else by status; with the status, code and request id of this answer."""
    told = _told(response)
    code, status = told.get("code"), response.status_code
    message = told.get("message") or _words(response)
    error = kind_of(code, status)(message, told.get("param"), retry_after_s(response.headers))
    error.status = status
    if isinstance(code, str):
        error.code = code
    error.request_id = told.get("requestId") or response.headers.get("x-request-id")
    return error


def kind_of(code: object, status: int) -> type[ServiceError]:
    """Of newer servers and of gateways, whose codes are not known here, the status decides."""
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
    """What became of a request that has no answer. `url`: the service's, for the message."""
    cause = str(error) or type(error).__name__
    failure: ServiceError
    match error:
        case httpx.ReadTimeout() | httpx.WriteTimeout():
            failure = TimedOut(f"{url} did not answer in time.")
        case httpx.TimeoutException() | httpx.NetworkError() | httpx.RemoteProtocolError() | httpx.ProxyError():
            failure = Unreachable(f"{url} can't be reached: {cause}.")
        case _:
            failure = UnreadableAnswer(f"The request to {url} failed: {cause}.")
    failure.__cause__ = error
    return failure


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds from `Retry-After`, a number or a date; None where there is none that can be read."""
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d*)?", value):
        return float(value)
    then = _seconds(value)
    if then is None:
        return None
    # Against the sender's own clock: ours may be wrong.
    now = _seconds(headers.get("date", ""))
    return max(0.0, then - (time.time() if now is None else now))


def _seconds(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


def moved(error: ServiceError, field: str, by: int) -> ServiceError:
    """The same error, its index counted from the caller's first item and not the request's."""
    if by == 0 or not error.param:
        return error
    pattern = re.compile(rf"^{field}\.(\d+)")
    found = pattern.match(error.param)
    if found is None:
        return error
    param = f"{field}.{int(found[1]) + by}{error.param[found.end() :]}"
    words = error.message.replace(f"`{error.param}`", f"`{param}`")
    fresh = type(error)(words, param, error.retry_after)
    fresh.status, fresh.code, fresh.request_id = error.status, error.code, error.request_id
    fresh.__cause__ = error.__cause__
    return fresh


def _told(response: httpx.Response) -> dict[str, Any]:
    try:
        error = orjson.loads(response.content)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _words(response: httpx.Response) -> str:
    text = " ".join(re.sub(r"<[^>]*>", " ", response.text[: 10 * _SHOWN]).split())[:_SHOWN]
    return f"The answer is {response.status_code} {response.reason_phrase}: {text or 'it says no more'}"
