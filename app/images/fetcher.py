"""Fetching one image by URL: look up, check every address, connect to one that was checked, read under caps.

The name is looked up once for each hop, and the connection goes to the very address that was judged: a name server
that answers otherwise a moment later changes nothing. No proxy and no credentials of the environment are used. What a
URL may be is `image_url`, which addresses are public is `addresses`; whether the bytes are an image is for `images`.

Whatever goes wrong out there ends in the same words, whether the address is forbidden, silent or not there at all.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urljoin

import httpcore

from app.config.args import ImageUrls, Limits
from app.errors import InvalidImage, PayloadTooLarge
from app.images import url as image_url
from app.images.public_address import Address, is_public
from app.images.url import ImageUrl

logger = logging.getLogger(__name__)

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]

_REDIRECTS: Final = {301, 302, 303, 307, 308}
# Of one name: more than these are not tried.
_MOST_ADDRESSES: Final = 16
_MOST_TRIED: Final = 3


class Budget:
    """Bytes that the URLs of one request may bring in together."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.left = most

    def take(self, size: int, param: str) -> None:
        self.left -= size
        if self.left < 0:
            raise PayloadTooLarge(f"The images have more than {self.most:,} bytes together.", param)


class Unfetched(Exception):
    """Why there is no image, for the log only."""


@dataclass(slots=True, eq=False)
class Fetcher:
    """One per ingress replica.

    Args:
        allowed: Which URLs, and how long and how many at once.
        limits: The most bytes of one image.
        resolve: Name and port to addresses; by default the system's resolver, in threads of its own.
        backend: Makes connections, to addresses only.
        tls: How servers prove who they are; by default with the system's certificates.
    """

    allowed: ImageUrls
    limits: Limits
    resolve: Resolver | None = None
    backend: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.allowed.fetches)
        if self.resolve is None:
            # A slow name server must not take the threads that others need.
            self.resolve = _SystemResolver(ThreadPoolExecutor(self.allowed.fetches, "resolve"))

    async def fetch(self, url: str, *, budget: Budget, param: str) -> bytes:
        """The bytes behind `url`, at most `limits.image_bytes`.

        Raises:
            InvalidImage: It is not allowed, or there is nothing to be had within the time.
            PayloadTooLarge: More bytes than one image, or the images of one request, may have.
        """
        target = image_url.parse(url, self.allowed, param=param)
        try:
            async with asyncio.timeout(self.allowed.timeout_s), self._slots:
                return await self._follow(target, budget, param)
        except (Unfetched, TimeoutError, httpcore.TimeoutException) as error:
            reason: Exception = error
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError) as error:
            reason = error
        # The address and the reason are for the operator: to a stranger they would be a map of the network.
        logger.info("no image from %s: %s: %s", target.authority, type(reason).__name__, reason)
        raise InvalidImage("No image can be fetched from this URL.", param) from reason

    async def _follow(self, target: ImageUrl, budget: Budget, param: str) -> bytes:
        for _ in range(self.allowed.redirects + 1):
            addresses = await self._addresses(target)
            answer = await self._get(target, addresses, budget, param)
            if isinstance(answer, bytes):
                return answer
            try:
                target = image_url.parse(urljoin(str(target), answer.location), self.allowed, param=param)
            except InvalidImage as error:
                raise Unfetched(f"redirected to a URL that is not allowed: {error}") from error
        raise Unfetched("too many redirects")

    async def _addresses(self, target: ImageUrl) -> Sequence[Address]:
        """All addresses of the host; one that is forbidden forbids all, as names that mix them mean no good."""
        if isinstance(target.host, str):
            assert self.resolve is not None  # noqa: S101 - set in __post_init__
            addresses = await self.resolve(target.host, target.port)
        else:
            addresses = [target.host]
        if not addresses or len(addresses) > _MOST_ADDRESSES:
            raise Unfetched(f"{len(addresses)} addresses")
        for address in addresses:
            if not is_public(address):
                raise Unfetched(f"{address} is not a public address")
        return addresses[:_MOST_TRIED]

    async def _get(
        self, target: ImageUrl, addresses: Sequence[Address], budget: Budget, param: str
    ) -> "bytes | _Redirect":
        origin = httpcore.Origin(target.scheme.encode(), str(target.host).encode(), target.port)
        pinned = _Pinned(self.backend, addresses)
        connection = httpcore.AsyncHTTPConnection(origin, ssl_context=self.tls, network_backend=pinned)
        request = httpcore.Request(
            "GET",
            httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target.target.encode()),
            headers=[
                ("host", target.authority),
                ("accept", "image/*"),
                ("accept-encoding", "identity"),
                ("user-agent", "ray-embedding-service"),
                ("connection", "close"),
            ],
        )
        try:
            response = await connection.handle_async_request(request)
            if response.status in _REDIRECTS:
                return _Redirect(_header(response, b"location"))
            if response.status != 200:
                raise Unfetched(f"status {response.status}")
            return await self._read(response, budget, param)
        finally:
            with suppress(Exception):
                await connection.aclose()
            await pinned.close()

    async def _read(self, response: httpcore.Response, budget: Budget, param: str) -> bytes:
        most = self.limits.image_bytes
        declared = _header(response, b"content-length")
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_stream():
            size += len(chunk)
            if size > most or (declared.isdigit() and int(declared) > most):
                raise PayloadTooLarge(f"The image has too many bytes; at most {most:,} are allowed.", param)
            budget.take(len(chunk), param)
            chunks.append(chunk)
        return b"".join(chunks)


@dataclass(frozen=True, slots=True)
class _Redirect:
    location: str


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked, whatever host it is told."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, addresses: Sequence[Address]) -> None:
        self._backend = backend
        self._addresses = addresses
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def close(self) -> None:
        """Also where the connection forgets its stream: when it is cancelled while TLS is being agreed on."""
        if self._stream is not None:
            with suppress(Exception):
                await self._stream.aclose()

    async def connect_tcp(
        self,
        host: str,  # the name, which is not looked up again
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                self._stream = await self._backend.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
                return self._stream
            except (OSError, httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class _SystemResolver:
    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def __call__(self, host: str, port: int) -> Sequence[Address]:
        loop = asyncio.get_running_loop()
        # The dot keeps the system's search domains out: "images" must not become "images.default.svc".
        found = await loop.run_in_executor(self._threads, _look_up, f"{host}.", port)
        return list(dict.fromkeys(ip_address(address) for address in found))


def _look_up(host: str, port: int) -> list[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")
