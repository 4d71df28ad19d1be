import logging
import re
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from app import errors
from app.api.application import create_app
from app.api.routes import ROUTES
from app.errors import ServiceError
from app.schemas.embeddings import EmbeddingsResponse
from app.schemas.operations import CacheClearResponse, CacheStatsResponse, HealthResponse
from app.schemas.similarity import SimilarityResponse
from app.service.encoder import ModelState
from tests.support.calling import Service, error_of
from tests.support.service_fakes import MODEL, FakeEncoder, info_of

SECRET = "the password is 1234"  # noqa: S105 - it is none
VECTORS = {"query": [1, 0], "candidates": [[0, 1], [1, 0]]}


def concrete_errors() -> list[type[ServiceError]]:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ServiceError)]
    return sorted(classes, key=lambda cls: cls.__name__)


@pytest.mark.parametrize(
    "fault", [RuntimeError(SECRET), KeyError(SECRET), TimeoutError(SECRET), AssertionError(SECRET)]
)
def test_an_unknown_exception_is_a_constant_text_and_a_logged_traceback(
    fault: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service()
    service.control.fault = fault
    answer = service.get("/cache/stats?a=b", headers={"x-request-id": "id-1"})
    assert answer.status_code == 500
    assert error_of(answer) == {
        "code": "internal_error",
        "message": "Internal error. The log has the details under this request id.",
        "param": None,
        "requestId": "id-1",
    }
    assert SECRET not in answer.text + str(answer.headers)
    assert (answer.headers["x-request-id"], answer.headers["x-served-by"]) == ("id-1", "replica-7")
    [record] = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "request id-1 failed: GET /cache/stats")
    assert record.exc_info is not None
    assert record.exc_info[1] is fault


@pytest.mark.parametrize("cls", concrete_errors())
def test_each_error_has_its_status_and_code(cls: type[ServiceError], caplog: pytest.LogCaptureFixture) -> None:
    service = Service()
    service.control.fault = cls("What is wrong.", "texts.3")
    answer = service.get("/cache/stats")
    assert answer.status_code == cls.status
    error = error_of(answer)
    assert (error["code"], error["message"], error["param"]) == (cls.code, "What is wrong.", "texts.3")
    assert "retry-after" not in answer.headers
    assert caplog.records == []


@pytest.mark.parametrize(("seconds", "header"), [(2, "2"), (0.2, "1"), (30.4, "30")])
def test_retry_after_is_whole_seconds_and_at_least_one(seconds: float, header: str) -> None:
    service = Service()
    service.control.fault = errors.CacheUnavailable("Later.", retry_after=seconds)
    assert service.post("/cache/clear").headers["retry-after"] == header


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/nothing", ""),
        ("/embed/texts/", " Did you mean `/embed/text`?"),
        ("/EMBED/TEXT", " Did you mean `/embed/text`?"),
        ("/text", " Did you mean `/embed/text`?"),
        ("/healthz", " Did you mean `/health`?"),
        ("/stats", " Did you mean `/cache/stats`?"),
        ("/v3//health", " Did you mean `/health`?"),
        ("/similarities", " Did you mean `/similarity`?"),
        ("/swagger", ""),
        ("/chat/completions", ""),
    ],
)
def test_an_unknown_path_is_a_404_with_what_is_nearest_and_where_all_are(path: str, near: str) -> None:
    answer = Service().get(path)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (404, "not_found", None)
    assert error["message"] == f"There is no route {path}.{near} All routes: /docs and /openapi.json."


def test_an_unknown_path_like_several_names_three() -> None:
    answer = Service().get("/v1/embeding")
    assert "Did you mean `/v1/embeddings`, `/v1/embed` or `/embeddings`?" in answer.text


@pytest.mark.parametrize("route", [r for r in ROUTES if r.errors_as == "native"], ids=lambda route: route.path)
def test_wrong_method_is_a_405_with_the_allowed_methods(route: Any) -> None:
    for method in ("DELETE", "GET" if route.method == "POST" else "POST"):
        answer = Service().request(method, route.path)
        assert answer.status_code == 405
        assert answer.headers["allow"] == route.method
        error = error_of(answer)
        assert error["code"] == "method_not_allowed"
        assert error["message"] == f"{route.path} allows {route.method}, not {method}."


def test_the_clients_request_id_comes_back_once() -> None:
    for path, status in (("/livez", 200), ("/nothing", 404)):
        answer = Service().get(path, headers={"X-Request-ID": "mine:1/2+3=4@5._-"})
        assert answer.status_code == status
        assert answer.headers.get_list("x-request-id") == ["mine:1/2+3=4@5._-"]
        assert answer.headers.get_list("x-served-by") == ["replica-7"]


@pytest.mark.parametrize("given", [None, "", "a b", "a\tb", "x" * 129, "ä".encode(), b"<script>"])
def test_an_id_is_made_when_there_is_no_decent_one(given: str | bytes | None) -> None:
    service = Service()
    headers = {} if given is None else {b"x-request-id": given if isinstance(given, bytes) else given.encode()}
    ids = [service.get("/nothing", headers=headers) for _ in range(2)]
    made = [answer.headers["x-request-id"] for answer in ids]
    assert all(re.fullmatch("[0-9a-f]{32}", id_) for id_ in made)
    assert made[0] != made[1]
    assert [error_of(answer)["requestId"] for answer in ids] == made


def test_where_serve_names_the_answers_no_second_id_is_added() -> None:
    for path in ("/livez", "/nothing"):
        answer = Service(names_answers=False).get(path, headers={"x-request-id": "mine"})
        assert "x-request-id" not in answer.headers
        assert answer.headers["x-served-by"] == "replica-7"
    assert error_of(answer)["requestId"] == "mine"


def test_texts_become_vectors() -> None:
    service = Service()
    answer = service.post("/embed/text", json={"texts": ["abc", "a b c d e f g h i"], "normalize": False})
    assert answer.status_code == 200
    data = EmbeddingsResponse.model_validate_json(answer.content).model_dump(by_alias=True)
    assert data.pop("processingTime") > 0
    assert data == {
        "embeddings": [[3, 4, 0], [17, 4, 0]],
        "model": MODEL,
        "dimensions": 3,
        "cached": False,
        "cacheHits": 0,
        "usage": {"tokens": 9},
        "truncated": [1],
        "space": f"{MODEL}@print of makers/",
        "outputType": None,
        "range": None,
        "note": None,
        "sparseEmbeddings": None,
    }
    again = service.post("/embed/text", json={"texts": ["abc", "x"], "model": "small-model"}).json()
    assert (again["cached"], again["cacheHits"]) == (False, 1)
    assert again["embeddings"][0] == pytest.approx([0.6, 0.8, 0], abs=1e-6)
    assert "note" not in again
    assert service.post("/embed/text", json={"texts": ["abc"]}).json()["cached"] is True


def test_a_backup_is_named_in_every_native_answer() -> None:
    note, encoder = "makers/small-model is not available; the backup wörk serves.", FakeEncoder()
    encoder.state = ModelState(MODEL, "ready", info_of(note=note))
    service = Service(encoder)
    texts = {"texts": ["abc"]}
    assert service.post("/embed/text", json=texts).json()["note"] == note
    binary = service.post("/embed/text", json=texts, headers={"accept": "application/octet-stream"})
    assert unquote(binary.headers["x-embedding-note"]) == note
    items = service.post("/embed/batch", json={"items": [{"text": "abc"}, {"text": ""}]}).json()["items"]
    assert [item.get("note") for item in items] == [note, None]
    assert service.post("/embed/chunks", json={"text": "abc"}).json()["note"] == note


@pytest.mark.parametrize(
    ("options", "status", "code", "param"),
    [
        ({"json": {"texts": "a"}}, 400, "invalid_request", "texts"),
        ({"json": {"texts": ["a", ""]}}, 400, "invalid_request", "texts.1"),
        ({"json": {"texts": ["a"], "model": "no"}}, 404, "model_not_found", "model"),
        ({"json": {"texts": ["a"] * 4}}, 413, "payload_too_large", "texts"),
        ({"content": b""}, 400, "invalid_request", None),
        ({"content": b"{"}, 400, "invalid_request", None),
        ({"json": {"texts": ["a" * 500]}}, 413, "payload_too_large", None),
        (
            {"content": b"texts=a", "headers": {"content-type": "text/plain"}},
            415,
            "unsupported_media_type",
            "content-type",
        ),
        ({"content": b"x", "headers": {"content-encoding": "gzip"}}, 415, "unsupported_media_type", "content-encoding"),
        ({"json": {"texts": ["a", "bad"]}}, 400, "invalid_item", "texts.1"),
    ],
)
def test_invalid_text_requests(options: dict[str, Any], status: int, code: str, param: str | None) -> None:
    encoder = FakeEncoder()
    encoder.faults["bad"] = errors.InvalidItem("no", "texts.1")
    answer = Service(encoder, texts=3, text_body=400).post("/embed/text", **options)
    error = error_of(answer)
    assert (answer.status_code, error["code"], error["param"]) == (status, code, param)


def test_vectors_are_ranked() -> None:
    service = Service()
    answer = service.post("/similarity", json=VECTORS | {"topK": 9})
    data = SimilarityResponse.model_validate_json(answer.content).model_dump(by_alias=True)
    assert data["results"] == [{"index": 1, "score": 1.0}, {"index": 0, "score": 0.0}]
    assert (data["metric"], len(service.ranker.bodies)) == ("cosine", 1)
    error = error_of(service.post("/similarity", json={"query": [1], "candidates": [[1, 2]]}))
    assert (error["code"], error["param"]) == ("invalid_request", "candidates.0")


def test_cache_stats_and_cache_clear() -> None:
    service = Service()
    data = CacheStatsResponse.model_validate_json(service.get("/cache/stats").content).model_dump(by_alias=True)
    assert (data["size"], data["maxSize"], data["hitRate"], data["nearHits"]) == (5, 10, 0.75, 2)
    bodies: list[dict[str, Any]] = [{}, {"json": {}}, {"content": b" \n"}]
    for options in bodies:
        answer = service.post("/cache/clear", **options)
        assert CacheClearResponse.model_validate_json(answer.content).cleared == 5
    assert error_of(service.post("/cache/clear", json={"all": True}))["param"] == "all"
    assert service.post("/cache/clear", content=b" " * 5000).status_code == 413
    assert service.control.clears == 3


def test_health_is_200_once_a_text_model_serves() -> None:
    encoder = FakeEncoder()
    service = Service(encoder)
    ready = service.get("/health")
    data = HealthResponse.model_validate_json(ready.content)
    assert (ready.status_code, data.status, data.reasons) == (200, "healthy", [])
    assert (data.models, [model.id for model in data.details]) == ({"text": MODEL, "image": None}, [MODEL])
    assert service.get("/readyz").json() == {"status": "ready"}
    encoder.state = type(encoder.state)(MODEL, "loading")
    assert [service.get(path).status_code for path in ("/health", "/readyz", "/livez")] == [503, 503, 200]
    assert service.get("/health").json()["status"] == "starting"
    answer = service.post("/embed/text", json={"texts": ["a"]})
    assert (answer.status_code, error_of(answer)["code"]) == (503, "model_unavailable")


async def test_client_disconnect_is_not_an_error(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/embed/text", "raw_path": b"", "query_string": b"",
        "headers": [(b"content-length", b"2")],
    }  # fmt: skip
    await create_app(Service().backend)(scope, receive, send)
    assert (sent, caplog.records) == ([], [])


def test_head_is_answered_where_get_is() -> None:
    answer: httpx.Response = Service().request("HEAD", "/livez")
    assert (answer.status_code, answer.content) == (200, b"")
