"""The client for asyncio."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Iterable
from contextlib import aclosing
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
T = TypeVar("T")

Items = Iterable[T] | AsyncIterable[T]


class AsyncEmbeddingClient(BaseClient[httpx.AsyncBaseTransport]):
    """`EmbeddingClient` for asyncio. Use it with `async with` or `await close()`, in one event loop.

    Its methods take asynchronous generators too. A plain generator is read in threads, and so may block.
    """

    async def embed_texts(self, texts: Items[str], **options: Unpack[TextOptions]) -> NDArray[Any]:
        return self._vectors(await self.run(Texts(await _read(texts), **options)))

    async def embed_images(self, images: Items[Image], **options: Unpack[ImageOptions]) -> NDArray[Any]:
        return (await self.run(Images(await _read(images), **options))).vectors

    async def embed_batch(self, items: Items[Item], **options: Unpack[BatchOptions]) -> list[ItemResult]:
        return self._items(await self.run(Batch(await _read(items), **options)))

    async def search(self, query: Item, candidates: Items[Item], **options: Unpack[SearchOptions]) -> list[Found]:
        return self._found(await self.run(Search(query, await _read(candidates), **options)))

    async def similarity(self, query: ArrayLike, candidates: Vectors, **options: Unpack[RankOptions]) -> list[Found]:
        return (await self.run(Similarity(query, candidates, **options))).results

    async def run(self, operation: Operation[Any, R], on_progress: OnProgress | None = None) -> R:
        results = []
        async with aclosing(self._results(operation)) as found:
            with self._progress_bar(operation, on_progress) as advance:
                async for chunk, result in found:
                    results.append(result)
                    advance(len(chunk.items))
        return operation.join(results)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open(self, headers: dict[str, str], transport: httpx.AsyncBaseTransport | None) -> None:
        # With a transport of its own, httpx reads no proxies from the environment.
        transport = transport or (httpx.AsyncHTTPTransport() if is_loopback(self.base_url) else None)
        self._http = httpx.AsyncClient(headers=headers, transport=transport)
        self._slots = asyncio.Semaphore(self._concurrency)

    async def _results(self, operation: Operation[Any, R]) -> AsyncGenerator[tuple[Chunk[Any], R], None]:
        """Results in order. Up to twice `concurrency` chunks are started, so that one slow response idles no slot."""
        chunks = operation.chunks(self._chunking)
        waiting: deque[tuple[Chunk[Any], asyncio.Task[R]]] = deque()
        try:
            # In a thread: making the next chunk may read files.
            while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
                if len(waiting) == 2 * self._concurrency:
                    done, task = waiting.popleft()
                    yield done, await task
                waiting.append((chunk, asyncio.create_task(self._execute_in_slot(operation, chunk))))
            while waiting:
                done, task = waiting.popleft()
                yield done, await task
        finally:
            for _, task in waiting:
                task.cancel()
            await asyncio.gather(*(task for _, task in waiting), return_exceptions=True)

    async def _execute_in_slot(self, operation: Operation[Any, R], chunk: Chunk[Any]) -> R:
        async with self._slots:
            return await self._execute(operation, chunk)

    async def _execute(self, operation: Operation[Any, R], chunk: Chunk[Any]) -> R:
        try:
            return operation.read(await self._send(operation.call(chunk)), chunk)
        except ServiceError as error:
            return operation.join([await self._execute(operation, half) for half in operation.halves(chunk, error)])

    async def _send(self, call: Call) -> httpx.Response:
        attempts = self._attempts()
        while True:
            try:
                response = await self._http.send(self._request(self._http, call, attempts))
                if response.status_code == 200:
                    return response
                failure = error_of(response)
            except httpx.RequestError as error:
                failure = failure_of(error, self.base_url)
            await self._pause(attempts.pause_s(failure, self._clock()))

    _pause: Callable[[float], Awaitable[None]] = staticmethod(asyncio.sleep)


async def _read(items: Items[T]) -> Iterable[T]:
    """An asynchronous generator's items are read first: memory has to hold all of their vectors anyway."""
    return [item async for item in items] if isinstance(items, AsyncIterable) else items
