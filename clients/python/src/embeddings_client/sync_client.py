"""The synchronous client. It is thread-safe."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from typing import Any, Self, TypeVar, Unpack

import httpx
from numpy.typing import ArrayLike, NDArray

from embeddings_client.base import BaseClient, is_loopback
from embeddings_client.batch import Batch, BatchOptions, ItemResult
from embeddings_client.chunks import Chunk
from embeddings_client.embeddings import ImageOptions, Images, TextOptions, Texts
from embeddings_client.errors import ServiceError
from embeddings_client.failures import error_of, failure_of
from embeddings_client.items import Image, Item
from embeddings_client.operation import Call, Operation
from embeddings_client.progress import OnProgress
from embeddings_client.ranking import Found, RankOptions, Search, SearchOptions, Similarity, Vectors

R = TypeVar("R")


class EmbeddingClient(BaseClient[httpx.BaseTransport]):
    """Sends requests over connections that it keeps open: use it with `with`, or call `close`.

    A call of any size is split into requests that run concurrently. Transient failures (429, 502, 503, 504, a broken
    connection) are retried. Every error is a `ServiceError` from `embeddings_client.errors`.
    """

    def embed_texts(self, texts: Iterable[str], **options: Unpack[TextOptions]) -> NDArray[Any]:
        """(n, d) vectors of length 1, in the order of the texts. `run(Texts(...))` returns metadata too.
        The texts may be a generator, here and wherever a method takes items: it is read as requests are sent."""
        return self._vectors(self.run(Texts(texts, **options)))

    def embed_images(self, images: Iterable[Image], **options: Unpack[ImageOptions]) -> NDArray[Any]:
        """Paths, bytes, PIL images or URLs -> (n, d), as `embed_texts`. `run(Images(...))` returns metadata too."""
        return self.run(Images(images, **options)).vectors

    def embed_batch(self, items: Iterable[Item], **options: Unpack[BatchOptions]) -> list[ItemResult]:
        """Embed texts (str) and images (Path, bytes, PIL) together; a dict {"text"|"image": …, "model": …} is either.
        An invalid item has an error in its result and does not fail the others."""
        return self._items(self.run(Batch(items, **options)))

    def search(self, query: Item, candidates: Iterable[Item], **options: Unpack[SearchOptions]) -> list[Found]:
        """Rank texts, images and vectors against a text, an image or a vector; best first."""
        return self._found(self.run(Search(query, candidates, **options)))

    def similarity(self, query: ArrayLike, candidates: Vectors, **options: Unpack[RankOptions]) -> list[Found]:
        """Rank (n, d) vectors against a vector (d,) on the server; best first. `find_similar` does it locally."""
        return self.run(Similarity(query, candidates, **options)).results

    def run(self, operation: Operation[Any, R], on_progress: OnProgress | None = None) -> R:
        """Run an operation and return its result with metadata. `on_progress` replaces the progress bar."""
        results = []
        with self._progress_bar(operation, on_progress) as advance, closing(self._results(operation)) as found:
            for chunk, result in found:
                results.append(result)
                advance(len(chunk.items))
        return operation.join(results)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, headers: dict[str, str], transport: httpx.BaseTransport | None) -> None:
        # With a transport of its own, httpx reads no proxies from the environment.
        transport = transport or (httpx.HTTPTransport() if is_loopback(self.base_url) else None)
        self._http = httpx.Client(headers=headers, transport=transport)
        self._pool = ThreadPoolExecutor(self._concurrency, "embedding-client")

    def _results(self, operation: Operation[Any, R]) -> Generator[tuple[Chunk[Any], R], None, None]:
        """Results in order. Up to twice `concurrency` chunks are started, so that one slow response idles no thread."""
        chunks = operation.chunks(self._chunking)
        first = list(islice(chunks, 2))
        stop = threading.Event()
        if len(first) == 1:
            yield first[0], self._execute(operation, first[0], stop)
            return
        waiting: deque[tuple[Chunk[Any], Future[R]]] = deque()
        try:
            for chunk in chain(first, chunks):
                if len(waiting) == 2 * self._concurrency:
                    done, future = waiting.popleft()
                    yield done, future.result()
                waiting.append((chunk, self._pool.submit(self._execute, operation, chunk, stop)))
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            stop.set()
            for _, future in waiting:
                future.cancel()

    def _execute(self, operation: Operation[Any, R], chunk: Chunk[Any], stop: threading.Event) -> R:
        try:
            return operation.read(self._send(operation.call(chunk), stop), chunk)
        except ServiceError as error:
            return operation.join([self._execute(operation, half, stop) for half in operation.halves(chunk, error)])

    def _send(self, call: Call, stop: threading.Event) -> httpx.Response:
        attempts = self._attempts()
        while True:
            try:
                response = self._http.send(self._request(self._http, call, attempts))
                if response.status_code == 200:
                    return response
                failure = error_of(response)
            except httpx.RequestError as error:
                failure = failure_of(error, self.base_url)
            if self._pause(stop, attempts.pause_s(failure, self._clock())):
                raise failure

    # Returns whether the call was abandoned while waiting.
    _pause: Callable[[threading.Event, float], bool] = staticmethod(threading.Event.wait)
