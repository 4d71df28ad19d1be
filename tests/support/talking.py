"""Both clients against a service that one can read: it keeps to the wire's contract and knows letters, not meaning."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from python_multipart.multipart import parse_options_header
from starlette.formparsers import MultiPartParser

from app.client import AsyncEmbeddingClient, EmbeddingClient
from app.types import Vector
from app.vectors.similarity import rank

SPACE = "makers/small@1"
Outcome = httpx.Response | Exception | Callable[[httpx.Request], "httpx.Response | None"]


def vector_of(content: str | bytes) -> list[float]:
    """Of a text or a file: its length, and its first byte."""
    data = content.encode() if isinstance(content, str) else content
    return [len(data), data[0], 1]


class FakeService:
    """`script`: what the first requests end in, in place of an answer. `limit`: most items of one request."""

    def __init__(self, *script: Outcome, limit: int | None = None, space: str = SPACE) -> None:
        self.script = deque(script)
        self.limit = limit
        self.space = space
        self.requests: list[httpx.Request] = []
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        with self._lock:
            self.requests.append(request)
            outcome = self.script.popleft() if self.script else None
        if callable(outcome):
            outcome = outcome(request)
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            # A response is used up by the client that reads it.
            return httpx.Response(outcome.status_code, headers=outcome.headers, content=outcome.content)
        match request.url.path:
            case "/embed/text":
                return self._embedded(self.body(request)["texts"], "texts")
            case "/embed/image":
                form = request.headers["content-type"].startswith("multipart/")
                return self._embedded(uploaded(request) if form else self.body(request)["images"], "images")
            case "/embed/batch":
                return self._batch(self.body(request))
            case "/search":
                return self._search(self.body(request))
            case "/similarity":
                matrix = np.load(BytesIO(request.content), allow_pickle=False)
                return ranked(matrix[0], matrix[1:], **options_of(dict(request.url.params)))
        return error(404, "not_found", f"There is nothing at {request.url.path}.")

    def body(self, request: httpx.Request) -> dict[str, Any]:
        assert request.headers["content-type"] == "application/json"
        data: dict[str, Any] = orjson.loads(request.content)
        return data

    def sizes(self, field: str) -> list[int]:
        """How many items each request held, largest first: they race."""
        return sorted((len(self.body(request)[field]) for request in self.requests), reverse=True)

    def _embedded(self, items: Sequence[str | bytes], field: str) -> httpx.Response:
        if self.limit is not None and len(items) > self.limit:
            return error(413, "payload_too_large", f"{len(items)} {field}; at most {self.limit}.", field)
        for i, item in enumerate(items):
            if not item:
                return error(400, "invalid_request", f"`{field}.{i}` must not be empty.", f"{field}.{i}")
        cut = [i for i, item in enumerate(items) if len(item) > 50]
        return matrix(np.array([vector_of(item) for item in items], np.float32), self.space, truncated=cut)

    def _batch(self, body: dict[str, Any]) -> httpx.Response:
        rows: list[Any] = []
        told: list[Any] = []
        for i, item in enumerate(body["items"]):
            if item.get("text") == "":
                rows.append(None)
                param = f"items.{i}.text"
                told.append(
                    {"error": {"code": "invalid_item", "message": f"`{param}` must not be empty.", "param": param}}
                )
            else:
                rows.append(vector_of(item.get("text") or item["image"]))
                cut = {"truncated": True} if len(item.get("text", "")) > 50 else {}
                told.append(
                    {"model": item.get("model", "small"), "dimensions": 3, "cached": i == 0, "space": self.space} | cut
                )
        return httpx.Response(200, json={"embeddings": rows, "items": told, "model": "small"})

    def _search(self, body: dict[str, Any]) -> httpx.Response:
        rows = [row_of(item) for item in [body["query"], *body["candidates"]]]
        given: dict[str, Any] = {name: body[name] for name in ("topK", "threshold", "metric") if name in body}
        found = ranked(rows[0], np.array(rows[1:]), model="small", space=self.space, **options_of(given))
        cut = sum(len(item.get("text", "")) > 50 for item in [body["query"], *body["candidates"]])
        found.headers.update({"x-embedding-truncated": str(cut)} if cut else {})
        return found


def row_of(item: dict[str, Any]) -> list[float]:
    [(kind, content)] = item.items()
    return content if kind == "vector" else vector_of(content)


def options_of(given: dict[str, Any]) -> dict[str, Any]:
    names = {"topK": "top_k", "threshold": "threshold", "metric": "metric"}
    kinds: dict[str, Callable[[Any], Any]] = {"topK": int, "threshold": float, "metric": str}
    return {names[name]: kinds[name](value) for name, value in given.items()}


def ranked(query: Any, rows: Any, model: str | None = None, space: str | None = None, **options: Any) -> httpx.Response:
    found = rank(query, rows, **options)
    results = [{"index": int(i), "score": float(s)} for i, s in zip(found.indices, found.scores, strict=True)]
    return httpx.Response(200, json={"results": results, "metric": "cosine", "model": model, "space": space})


def matrix(rows: Vector, space: str = SPACE, truncated: Sequence[int] = (), **headers: str) -> httpx.Response:
    file = BytesIO()
    np.save(file, rows)
    about = {
        "content-type": "application/x-npy",
        "x-embedding-model": "makers/small",
        "x-embedding-space": space,
        "x-embedding-dimensions": "3",
        "x-embedding-tokens": str(2 * len(rows)),
        "x-embedding-cache-hits": "1",
    }
    if truncated:
        about["x-embedding-truncated"] = ",".join(map(str, truncated))
    return httpx.Response(200, content=file.getvalue(), headers=about | headers)


def error(status: int, code: str, message: str, param: str | None = None, **headers: str) -> httpx.Response:
    told = {"code": code, "message": message, "param": param, "requestId": "request-7"}
    return httpx.Response(status, json={"error": told}, headers={k.replace("_", "-"): v for k, v in headers.items()})


def uploaded(request: httpx.Request) -> list[bytes]:
    return [data for name, data in upload(request) if name == "images"]


def upload(request: httpx.Request) -> list[tuple[str, bytes]]:
    """Fields of a form in order, as Starlette reads them."""
    kind, _ = parse_options_header(request.headers["content-type"])
    assert kind == b"multipart/form-data"

    async def parse() -> list[tuple[str, bytes]]:
        async def stream() -> Any:
            yield request.content
            yield b""

        from starlette.datastructures import Headers

        form = await MultiPartParser(Headers(dict(request.headers)), stream()).parse()
        found = [(k, v.encode() if isinstance(v, str) else await v.read()) for k, v in form.multi_items()]
        await form.close()
        return found

    found: list[tuple[str, bytes]] = []
    # A loop of its own: this may be called from within another.
    thread = threading.Thread(target=lambda: found.extend(asyncio.run(parse())))
    thread.start()
    thread.join()
    return found


class Caller:
    """`caller.embed_texts([...])` through one of the two clients. `pauses`: seconds that it would have waited."""

    def __init__(self, kind: str, service: Callable[[httpx.Request], httpx.Response], **options: Any) -> None:
        self.kind = kind
        self.pauses: list[float] = []
        self.options: dict[str, Any] = {"transport": httpx.MockTransport(service), "chance": lambda: 1.0} | options

    def __getattr__(self, method: str) -> Callable[..., Any]:
        return lambda *args, **options: self._call(method, args, options)

    def _call(self, method: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        pauses = self.pauses

        class Sync(EmbeddingClient):
            @staticmethod
            def _pause(stop: threading.Event, seconds: float) -> bool:
                pauses.append(seconds)
                return stop.is_set()

        class Async(AsyncEmbeddingClient):
            @staticmethod
            async def _pause(seconds: float) -> None:
                pauses.append(seconds)

        if self.kind == "sync":
            with Sync(**self.options) as client:
                return getattr(client, method)(*args, **options)

        async def call() -> Any:
            async with Async(**self.options) as client:
                return await getattr(client, method)(*args, **options)

        return asyncio.run(asyncio.wait_for(call(), 30))


both = pytest.mark.parametrize("kind", ["sync", "async"])
