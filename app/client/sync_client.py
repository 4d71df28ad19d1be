"""The client for ordinary code. One may be shared by threads."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import chain, islice
from typing import Any, Self, TypeVar, Unpack

import httpx
from numpy.typing import ArrayLike, NDArray

from app.client.base import BaseClient, refused
from app.client.batch import Batch, BatchOptions, ItemResult
from app.client.chunks import Chunk
from app.client.embeddings import ImageOptions, Images, TextOptions, Texts
from app.client.failures import failure_of
from app.client.items import Image, Item
from app.client.operation import Call, Operation
from app.client.progress import Tell
from app.client.ranking import Found, RankOptions, Search, SearchOptions, Similarity
from app.errors import ServiceError

R = TypeVar("R")


class EmbeddingClient(BaseClient[httpx.BaseTransport]):
    """Asks the service, and keeps its connections open: use it with `with`, or `close` it.

    Operation of any size is cut into requests, several at once. What fails for the moment (429, 502, 503, 504, a broken
    connection) is tried again. Every error is a `ServiceError` of `app.errors`.
    """

    def embed_texts(self, texts: Sequence[str], **options: Unpack[TextOptions]) -> NDArray[Any]:
        """(n, d) vectors in the order of the texts, of length 1. `run(Texts(...))` tells more of them."""
        return self.run(Texts(texts, **options)).vectors

    def embed_images(self, images: Sequence[Image], **options: Unpack[ImageOptions]) -> NDArray[Any]:
        """Paths, bytes, PIL images or URLs -> (n, d), as `embed_texts`. `run(Images(...))` tells more of them."""
        return self.run(Images(images, **options)).vectors

    def embed_batch(self, items: Sequence[Item], **options: Unpack[BatchOptions]) -> list[ItemResult]:
        """Texts and images mixed: str is a text; Path, bytes and PIL an image; {"text"|"image": …, "model": …} either.
        A bad item has its error in its result, and does not fail the others."""
        return self.run(Batch(items, **options))

    def search(self, query: Item, candidates: Sequence[Item], **options: Unpack[SearchOptions]) -> list[Found]:
        """Texts, images and vectors ranked by a text, an image or a vector; best first."""
        return self.run(Search(query, candidates, **options)).results

    def similarity(self, query: ArrayLike, candidates: ArrayLike, **options: Unpack[RankOptions]) -> list[Found]:
        """(n, d) vectors ranked by a vector (d,) at the service; best first. `find_similar` does it here."""
        return self.run(Similarity(query, candidates, **options)).results

    def run(self, work: Operation[Any, R], tell: Tell | None = None) -> R:
        """Any work, and all that its answer says. `tell` takes the place of the progress bar."""
        results = []
        with self._bar(work, tell) as advance, closing(self._results(work)) as found:
            for chunk, result in found:
                results.append(result)
                advance(len(chunk.items))
        return work.join(results)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, headers: dict[str, str], transport: httpx.BaseTransport | None) -> None:
        self._http = httpx.Client(headers=headers, transport=transport)
        self._pool = ThreadPoolExecutor(self._concurrency, "embedding-client")

    def _results(self, work: Operation[Any, R]) -> Generator[tuple[Chunk[Any], R], None, None]:
        """In order. A few chunks wait beside those under way, so that one slow answer does not idle the others."""
        chunks = work.chunks(self._chunking)
        first = list(islice(chunks, 2))
        stop = threading.Event()
        if len(first) == 1:
            yield first[0], self._ask(work, first[0], stop)
            return
        waiting: deque[tuple[Chunk[Any], Future[R]]] = deque()
        try:
            for chunk in chain(first, chunks):
                if len(waiting) == 2 * self._concurrency:
                    done, future = waiting.popleft()
                    yield done, future.result()
                waiting.append((chunk, self._pool.submit(self._ask, work, chunk, stop)))
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            stop.set()
            for _, future in waiting:
                future.cancel()

    def _ask(self, work: Operation[Any, R], chunk: Chunk[Any], stop: threading.Event) -> R:
        try:
            return work.read(self._send(work.call(chunk), stop), chunk)
        except ServiceError as error:
            return work.join([self._ask(work, half, stop) for half in work.halves(chunk, error)])

    def _send(self, call: Call, stop: threading.Event) -> httpx.Response:
        attempts = self._attempts()
        while True:
            failure: ServiceError | None
            try:
                response = self._http.send(self._request(self._http, call, attempts))
                failure = refused(response)
            except httpx.RequestError as error:
                failure = failure_of(error, self.base_url)
            if failure is None:
                return response
            if self._pause(stop, attempts.pause_s(failure, self._clock())):
                raise failure

    # Returns whether nobody waits for the answer any more.
    _pause: Callable[[threading.Event, float], bool] = staticmethod(threading.Event.wait)
