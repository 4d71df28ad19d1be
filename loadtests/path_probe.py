"""Stamps on a text's way through the service, put from outside: the service itself has nothing of this.

`bench_path` names `install` as the hook that Ray runs in each worker it starts. It wraps the functions at each hop, so
that they note the clock, which all processes of a machine share. A text that begins with FLUSH has each process write
what it noted since the last one, as a file of its own in the folder FOLDER of the environment.
"""

import functools
import inspect
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

FOLDER: Final = "PATH_STAMPS"
FLUSH: Final = "write the stamps "
HOOK: Final = {"__RAY_WORKER_PROCESS_SETUP_HOOK_ENV_VAR": "loadtests.path_probe.install"}
CLIENT, INGRESS, ENCODER, MODEL = "client", "ingress", "encoder", "model"
# In order: a stamp, what has happened between the one before and it, and where.
HOPS: Final = (
    ("first byte", "client, kernel, HAProxy", CLIENT),
    ("application", "HTTP parsed, task, bypass middleware", INGRESS),
    ("body", "our middleware, routing, body read", INGRESS),
    ("validated", "JSON read and checked", INGRESS),
    ("looked up", "key made, caches asked", INGRESS),
    ("called", "single-flight, coalescer, task", INGRESS),
    ("sent", "replica chosen, call packed", INGRESS),
    ("received", "frame written, kernel, the encoder wakes", ENCODER),
    ("unpacked", "task, accounting, frame read", ENCODER),
    ("tokenised", "tokenised", ENCODER),
    ("released", "queued for the model", ENCODER),
    ("on its thread", "the model's thread wakes", MODEL),
    ("model began", "ids padded", MODEL),
    ("model ended", "inference", MODEL),
    ("checked", "rows copied and checked", MODEL),
    ("on the loop", "the event loop wakes", ENCODER),
    ("answered", "job settled, reply packed", ENCODER),
    ("reply", "frame written, kernel, the ingress wakes", INGRESS),
    ("outcomes", "reply read, task", INGRESS),
    ("awake", "futures resolved, stored in the cache", INGRESS),
    ("JSON made", "answer made", INGRESS),
    ("written", "headers, HTTP written", INGRESS),
    ("got it", "kernel, HAProxy, client", CLIENT),
)

Stamps = dict[str, int]
now = time.perf_counter_ns

of_texts: dict[str, Stamps] = {}
runs: list[tuple[int, int, bool, int, int]] = []  # rows, length, in the latency profile, began, ended
_first: ContextVar[int] = ContextVar("first", default=0)
_request: ContextVar[Stamps | None] = ContextVar("request", default=None)
_texts: ContextVar[Sequence[str]] = ContextVar("texts", default=())
_of_ids: dict[int, str] = {}
_calls: dict[int, Sequence[str]] = {}
_thread = threading.local()


def stamp(texts: Iterable[str | None], hop: str) -> None:
    at = now()
    for text in texts:
        if text is not None:
            of_texts.setdefault(text, {})[hop] = at


def flush() -> None:
    """Write what was noted, and forget it."""
    folder = Path(os.environ[FOLDER])
    new = folder / f".{uuid.uuid4().hex}"
    new.write_text(json.dumps({"texts": of_texts, "runs": runs}))
    new.rename(folder / f"{new.name[1:]}.json")
    of_texts.clear()
    runs.clear()


def install() -> None:
    """Of this process; it may become any part of the service."""
    _in_ingress()
    _in_encoder()


def _in_ingress() -> None:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    from app.api.endpoints import embeddings
    from app.api.wire import bodies
    from app.cache.client import CacheClient
    from app.rpc.connection import RpcConnection
    from app.service.embedding_service import EmbeddingService
    from deployments.remote_encoder import RemoteEncoder
    from deployments.serve_internals.bypass_middleware import BypassMiddleware

    def note(hop: str) -> None:
        if (request := _request.get()) is not None:
            request[hop] = now()

    def data_received(real: Any, *args: Any) -> None:
        _first.set(now())
        real(*args)

    async def called(real: Any, *args: Any) -> None:
        request: Stamps = {"first byte": _first.get(), "application": now()}
        _request.set(request)
        await real(*args)
        request["written"] = now()

    def parse(real: Any, *args: Any) -> Any:
        note("body")
        body = real(*args)
        note("validated")
        for text in getattr(body, "texts", ()):
            if text.startswith(FLUSH):
                flush()
            elif (request := _request.get()) is not None:
                of_texts[text] = request
        return body

    async def send(real: Any, self: Any, method: Any, admission: Any, items: Any, *args: Any) -> Any:
        stamp(items, "called")
        _texts.set(items)
        outcomes = await real(self, method, admission, items, *args)
        stamp(items, "outcomes")
        return outcomes

    def call(real: Any, *args: Any) -> Any:
        stamp(_texts.get(), "sent")  # the encoder may have it before the system call has returned here
        answer = real(*args)
        _calls[id(answer)] = _texts.get()
        return answer

    def frame_received(real: Any, self: Any, kind: int, number: int, *rest: Any) -> None:
        stamp(_calls.pop(id(self._calls.get(number)), ()), "reply")
        real(self, kind, number, *rest)

    wrap(HttpToolsProtocol, "data_received", data_received)
    wrap(BypassMiddleware, "__call__", called)
    wrap(bodies, "parse", parse)
    wrap(CacheClient, "get_many", noting(note, "looked up"))
    wrap(RemoteEncoder, "_send", send)
    wrap(RpcConnection, "call", call)
    wrap(RpcConnection, "frame_received", frame_received)
    wrap(EmbeddingService, "_embed", noting(note, "awake"))

    def respond(real: Any, *args: Any) -> Any:
        answer = real(*args)
        note("JSON made")
        return answer

    wrap(embeddings, "embeddings_response", respond)


def _in_encoder() -> None:
    from app.encoders.backends import openvino_models
    from app.rpc.frames import Frames
    from app.rpc.server import _ServerConnection
    from deployments.engine import Engine
    from deployments.serve_internals.rpc import RpcEndpoint
    from deployments.text_encoder import TextEncoder

    def data_received(self: Any, data: bytes) -> None:
        _first.set(now())
        Frames.data_received(self, data)

    async def encode_texts(real: Any, self: Any, texts: Any, *args: Any) -> Any:
        if any(text.startswith(FLUSH) for text in texts):
            flush()
            return await real(self, texts, *args)
        stamp(texts, "unpacked")
        for text in texts:
            of_texts[text]["received"] = _first.get()
        _texts.set(texts)
        return await real(self, texts, *args)

    async def encode(real: Any, self: Any, inputs: Any, *args: Any, **more: Any) -> Any:
        texts = _texts.get()
        stamp(texts, "tokenised")
        known = dict(zip(map(id, inputs), texts, strict=False))
        _of_ids.update(known)
        try:
            return await real(self, inputs, *args, **more)
        finally:
            for each in known:
                del _of_ids[each]

    async def run_slices(real: Any, self: Any, slices: Any, **more: Any) -> Any:
        texts = [_of_ids.get(id(part.job.inputs[index])) for part in slices for index in part.indices]
        stamp(texts, "released")
        rows = await real(self, slices, **more)
        stamp(texts, "on the loop")
        return rows

    def run(real: Any, self: Any, inputs: Any, *, exclusive: bool = False) -> Any:
        texts = [_of_ids.get(id(ids)) for ids in inputs]
        stamp(texts, "on its thread")
        _thread.texts, _thread.exclusive = texts, exclusive
        rows = real(self, inputs, exclusive=exclusive)
        stamp(texts, "checked")
        return rows

    def infer(real: Any, request: Any, inputs: Any) -> Any:
        texts, began = getattr(_thread, "texts", ()), now()
        for text in texts:  # a batch may be several runs
            if text is not None:
                of_texts[text].setdefault("model began", began)
        rows = real(request, inputs)
        stamp(texts, "model ended")
        if any(texts):
            runs.append((*inputs[0].shape, _thread.exclusive, began, now()))
        return rows

    async def answer(real: Any, *args: Any) -> Any:
        packed = await real(*args)
        stamp(_texts.get(), "answered")
        return packed

    _ServerConnection.data_received = data_received  # type: ignore[method-assign]
    wrap(TextEncoder, "encode_texts", encode_texts)
    wrap(Engine, "encode", encode)
    wrap(Engine, "_run_slices", run_slices)
    wrap(Engine, "run", run)
    wrap(openvino_models, "infer", infer)
    wrap(RpcEndpoint, "answer", answer)


def wrap(owner: Any, name: str, around: Callable[..., Any]) -> None:
    """Have `around` called in the place of a function, which is its first argument."""
    real = getattr(owner, name)

    @functools.wraps(real)
    def plain(*args: Any, **more: Any) -> Any:
        return around(real, *args, **more)

    @functools.wraps(real)
    async def awaited(*args: Any, **more: Any) -> Any:
        return await around(real, *args, **more)

    setattr(owner, name, awaited if inspect.iscoroutinefunction(real) else plain)


def noting(note: Callable[[str], None], hop: str) -> Callable[..., Any]:
    """Around a coroutine function: note the hop when it has returned."""

    async def around(real: Any, *args: Any, **more: Any) -> Any:
        result = await real(*args, **more)
        note(hop)
        return result

    return around
