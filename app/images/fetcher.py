"""Fetches an image by URL: resolves the host, checks every address, and reads from a checked address within limits. The
name is resolved once per redirect, and the connection goes to the address that was checked, so DNS rebinding has no
effect. Proxies and credentials from the environment are not used. Every network failure results in the same message, so
that clients can't probe the network."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import InitVar, dataclass, field
from functools import partial
from ipaddress import ip_address
from typing import Any
from urllib.parse import urljoin

import httpcore

from app.config.args import ImageUrls, Limits
from app.errors import InvalidImage, PayloadTooLarge
from app.images import url as image_url
from app.images.public_address import Address, is_public
from app.images.url import ImageUrl

logger = logging.getLogger(__name__)

Resolver = Callable[[str, int], Awaitable[Sequence[Address]]]

_HEADERS: dict[bytes | str, bytes | str] = {
    "accept": "image/*",
    "accept-encoding": "identity",
    "user-agent": "ray-embedding-service",
    "connection": "close",
}
_REDIRECTS = {301, 302, 303, 307, 308}
_MAX_ADDRESSES = 16  # per name; a name with more is rejected
_MAX_ATTEMPTS = 3  # addresses tried per name


class Budget:
    """The total number of bytes that one request may fetch."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.left = limit

    def take(self, size: int, param: str) -> None:
        self.left -= size
        if self.left < 0:
            raise PayloadTooLarge(f"The images have more than {self.limit:,} bytes in total.", param)


class FetchError(Exception):
    """Why an image could not be fetched; for the log only."""


_FAILURES = (FetchError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError)


@dataclass(slots=True, eq=False)
class Fetcher:
    """One per ingress replica. `resolve`: name and port -> addresses; by default the system's resolver."""

    allowed: ImageUrls
    limits: Limits
    resolve: InitVar[Resolver | None] = None
    backend: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    _resolve: Resolver = field(init=False)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self, resolve: Resolver | None) -> None:
        self._slots = asyncio.Semaphore(self.allowed.fetches)
        # Own threads, so that a slow name server does not block the default executor.
        self._resolve = resolve or partial(_look_up, ThreadPoolExecutor(self.allowed.fetches, "resolve"))

    async def fetch(self, url: str, *, budget: Budget, param: str) -> bytes:
        """The content of `url`, at most `limits.image_bytes`. Raises InvalidImage if the URL is not allowed, or not
        fetched in time, PayloadTooLarge if the image, or all images of the request together, have too many bytes."""
        target = image_url.parse(url, self.allowed, param=param)
        try:
            async with asyncio.timeout(self.allowed.timeout_s), self._slots:
                return await self._follow(target, budget, param)
        except _FAILURES as reason:
            # Only the log has the address and the reason: they would let a client map the internal network.
            logger.info("no image from %s: %s: %s", target.authority, type(reason).__name__, reason)
            raise InvalidImage("No image can be fetched from this URL.", param) from reason

    async def _follow(self, target: ImageUrl, budget: Budget, param: str) -> bytes:
        for _ in range(self.allowed.redirects + 1):
            addresses = await self._addresses(target)
            result = await self._get(target, addresses, budget, param)
            if isinstance(result, bytes):
                return result
            try:
                target = image_url.parse(urljoin(str(target), result), self.allowed, param=param)
            except InvalidImage as error:
                raise FetchError(f"redirected to a URL that is not allowed: {error}") from error
        raise FetchError("too many redirects")

    async def _addresses(self, target: ImageUrl) -> Sequence[Address]:
        """The addresses of the host. One forbidden address rejects the host: a name that mixes them is suspicious."""
        host = target.host
        addresses = await self._resolve(host, target.port) if isinstance(host, str) else [host]
        if not addresses or len(addresses) > _MAX_ADDRESSES:
            raise FetchError(f"{len(addresses)} addresses")
        for address in addresses:
            if not is_public(address):
                raise FetchError(f"{address} is not a public address")
        return addresses[:_MAX_ATTEMPTS]

    async def _get(self, target: ImageUrl, addresses: Sequence[Address], budget: Budget, param: str) -> bytes | str:
        """The image, or the location of a redirect."""
        origin = httpcore.Origin(target.scheme.encode(), str(target.host).encode(), target.port)
        pinned = _Pinned(self.backend, addresses)
        connection = httpcore.AsyncHTTPConnection(origin, ssl_context=self.tls, network_backend=pinned)
        url = httpcore.URL(scheme=origin.scheme, host=origin.host, port=origin.port, target=target.target.encode())
        request = httpcore.Request("GET", url, headers={"host": target.authority, **_HEADERS})
        try:
            response = await connection.handle_async_request(request)
            if response.status in _REDIRECTS:
                return _header(response, b"location")
            if response.status != 200:
                raise FetchError(f"status {response.status}")
            return await self._read(response, budget, param)
        finally:
            with suppress(Exception):
                await connection.aclose()
            await pinned.close()

    async def _read(self, response: httpcore.Response, budget: Budget, param: str) -> bytes:
        limit = self.limits.image_bytes
        declared = _header(response, b"content-length")
        body = bytearray()
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > limit or (declared.isdigit() and int(declared) > limit):
                raise PayloadTooLarge(f"The image has too many bytes; at most {limit:,} are allowed.", param)
            budget.take(len(chunk), param)
        return bytes(body)


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to the checked addresses, whatever host is requested."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, addresses: Sequence[Address]) -> None:
        self._backend = backend
        self._addresses = addresses
        self._stream: httpcore.AsyncNetworkStream | None = None

    async def close(self) -> None:
        """Close the stream, which httpcore leaks if it is cancelled during the TLS handshake."""
        if self._stream is not None:
            with suppress(Exception):
                await self._stream.aclose()

    async def connect_tcp(self, host: str, port: int, *args: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        """`host`: the name, which is not resolved again."""
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                self._stream = await self._backend.connect_tcp(str(address), port, *args, **options)
                return self._stream
            except (OSError, httpcore.NetworkError, httpcore.TimeoutException) as error:
                failure = error
        raise failure


async def _look_up(threads: ThreadPoolExecutor, host: str, port: int) -> Sequence[Address]:
    def addresses() -> list[Address]:
        # The trailing dot disables search domains: "images" must not become "images.default.svc".
        found = socket.getaddrinfo(f"{host}.", port, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))

    return await asyncio.get_running_loop().run_in_executor(threads, addresses)


def _header(response: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")
