import pickle

import httpx
import pytest

from app import errors
from app.errors import (
    InternalError,
    InvalidItem,
    InvalidRequest,
    NotFound,
    Overloaded,
    ServiceError,
    TooManyRequests,
    Unavailable,
)
from embeddings_client.failures import (
    TimedOut,
    Unreachable,
    UnreadableAnswer,
    error_of,
    failure_of,
    with_shifted_index,
)
from tests.support.talking import error

SERVER = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)
][1:]  # fmt: skip


@pytest.mark.parametrize("kind", SERVER, ids=lambda kind: kind.__name__)
def test_every_error_of_the_service_comes_back_as_its_class(kind: type[ServiceError]) -> None:
    found = error_of(error(kind.status, kind.code, "words", "texts.3", retry_after="4"))
    # Some share the code of their base, which is all that the wire tells.
    told = next(one for one in SERVER if one.code == kind.code)
    assert type(found) is told
    assert issubclass(kind, told)
    assert (found.status, found.code) == (kind.status, kind.code)
    assert (found.message, found.param, found.retry_after, found.request_id) == ("words", "texts.3", 4.0, "request-7")
    again = pickle.loads(pickle.dumps(found))  # noqa: S301 - our own
    assert (type(again), again.message, again.request_id) == (told, "words", "request-7")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest),
        (404, NotFound),
        (422, InvalidRequest),
        (429, TooManyRequests),
        (500, InternalError),
        (501, InternalError),
        (502, Unavailable),
        (503, Unavailable),
        (302, UnreadableAnswer),
    ],
)
def test_codes_not_known_here_go_by_status(status: int, kind: type[ServiceError]) -> None:
    found = error_of(error(status, "brand_new", "words"))
    assert (type(found), found.status, found.code) == (kind, status, "brand_new")
    # The class is as it was.
    assert kind.code != "brand_new"


@pytest.mark.parametrize(
    "content", [b"<html><body><h1>503</h1> No server is\n available</body>", b"", b"[]", b'{"error": 3}']
)
def test_gateway_error_responses(content: bytes) -> None:
    found = error_of(httpx.Response(503, content=content, headers={"x-request-id": "gate-1", "retry-after": "2"}))
    assert (type(found), found.param, found.request_id, found.retry_after) == (Unavailable, None, "gate-1", 2.0)
    assert found.message.startswith("The response is 503 Service Unavailable: ")
    assert "<" not in found.message
    assert ("503 No server is available" in found.message) == (b"html" in content)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx.ConnectError("refused"), Unreachable),
        (httpx.ConnectTimeout("slow"), Unreachable),
        (httpx.ReadError("reset"), Unreachable),
        (httpx.RemoteProtocolError("Server disconnected"), Unreachable),
        (httpx.ReadTimeout("slow"), TimedOut),
        (httpx.WriteTimeout("slow"), TimedOut),
        (httpx.UnsupportedProtocol("what"), UnreadableAnswer),
    ],
)
def test_connection_failures_and_timeouts(raised: httpx.RequestError, kind: type[ServiceError]) -> None:
    found = failure_of(raised, "http://here")
    assert type(found) is kind
    assert "http://here" in found.message
    assert found.__cause__ is raised


def test_indices_count_from_the_callers_first_item() -> None:
    given = error_of(error(400, "invalid_item", "`items.3.text` must not be empty.", "items.3.text"))
    found = with_shifted_index(given, "items", 256)
    assert (found.param, found.message) == ("items.259.text", "`items.259.text` must not be empty.")
    assert (type(found), found.status, found.request_id) == (InvalidItem, 400, "request-7")
    for other in (given, Overloaded("x"), InvalidRequest("x", "model"), InvalidRequest("x", "itemsize.3")):
        assert with_shifted_index(other, "items", 0) is other
    for other in (Overloaded("x"), InvalidRequest("x", "model"), InvalidRequest("x", "itemsize.3")):
        assert with_shifted_index(other, "items", 5) is other
