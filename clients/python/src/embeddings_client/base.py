"""What both clients share: settings, and building requests. Each client does its own sending and waiting."""

import ipaddress
import random
import socket
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, Generic, TypeVar

import httpx
from numpy.typing import NDArray

from embeddings_client.batch import ItemResult
from embeddings_client.chunks import Chunking
from embeddings_client.embeddings import Embeddings, TruncationWarning
from embeddings_client.operation import Call, Operation
from embeddings_client.progress import OnProgress, bar
from embeddings_client.ranking import Found, Ranked
from embeddings_client.retry import Attempts, Retry
from embeddings_client.vectors import average_embeddings, find_similar

DEFAULT_URL = "http://127.0.0.1:3000"
CONNECT_S = 5.0

Transport = TypeVar("Transport")


class BaseClient(ABC, Generic[Transport]):
    """Settings, and the functions that need no service."""

    find_similar = staticmethod(find_similar)
    average_embeddings = staticmethod(average_embeddings)

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retry: Retry = Retry(),  # noqa: B008 - it can't be changed
        concurrency: int = 4,
        chunking: Chunking = Chunking(),  # noqa: B008 - it can't be changed
        progress: bool | None = None,
        transport: Transport | None = None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """Create a client. This sends no request.

        Args:
            base_url: URL of the service; may include a path.
            api_key: Sent as `Authorization: Bearer`.
            timeout_s: Seconds to wait for the response to one attempt.
            retry: How often and how long a request is retried.
            concurrency: Maximum number of requests in flight, over all calls of this client.
            chunking: Maximum size of one request.
            progress: Whether to show a progress bar; None: if stderr is a terminal, or this is a notebook.
            transport: An httpx transport, for tests and special networks.
            clock: Monotonic seconds.
            chance: Random numbers from 0 to 1, for jitter.

        Raises:
            ValueError: An argument is invalid.
        """
        if not _is_http_url(base_url):
            raise ValueError(f"base_url must begin with http:// or https:// and name a host, not {base_url!r}")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key.strip() == api_key):
            raise ValueError("api_key must be printable ASCII without spaces around it")
        if timeout_s <= 0 or concurrency < 1:
            raise ValueError("timeout_s must be above 0, and concurrency 1 or more")
        self.base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._retry = retry
        self._concurrency = concurrency
        self._chunking = chunking
        self._progress = progress
        self._clock = clock
        self._chance = chance
        self._warned = False
        self._open({"authorization": f"Bearer {api_key}"} if api_key else {}, transport)

    def _vectors(self, found: Embeddings) -> NDArray[Any]:
        """The vectors without their metadata."""
        which = f"{len(found.vectors)} texts, the first at index {found.truncated[0]}," if found.truncated else ""
        self._warn_truncated(len(found.truncated), which, found.model, "`run(Texts(...))`")
        return found.vectors

    def _items(self, found: list[ItemResult]) -> list[ItemResult]:
        cut = [item for item in found if item.truncated]
        self._warn_truncated(len(cut), f"{len(found)} items", cut[0].model if cut else None, "`truncated`")
        return found

    def _found(self, ranked: Ranked) -> list[Found]:
        self._warn_truncated(ranked.truncated, "the texts of this search", ranked.model, "`run(Texts(...))`")
        return ranked.results

    def _warn_truncated(self, count: int, which: str, model: str | None, teller: str) -> None:
        """Warn of the first texts that were truncated, at the caller's line."""
        if count and not self._warned:
            self._warned = True
            warnings.warn(
                f"{count} of {which} are longer than {model} reads: each vector is of a part. {teller} tells which; "
                "this client does not warn again.",
                TruncationWarning,
                stacklevel=4,
            )

    @abstractmethod
    def _open(self, headers: dict[str, str], transport: Transport | None) -> None: ...

    def _attempts(self) -> Attempts:
        return Attempts(self._retry, self._clock(), self._chance)

    def _request(self, http: httpx.Client | httpx.AsyncClient, call: Call, attempts: Attempts) -> httpx.Request:
        timeout_s = min(self._timeout_s, attempts.left_s(self._clock()))
        timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        return http.build_request(
            "POST",
            self.base_url + call.path,
            content=call.content,
            data=call.form,
            files=call.files,
            params=call.params or None,
            headers=call.headers,
            timeout=timeout,
        )

    def _progress_bar(
        self, operation: Operation[Any, Any], on_progress: OnProgress | None
    ) -> AbstractContextManager[OnProgress]:
        return nullcontext(on_progress) if on_progress else bar(operation.total, operation.unit, self._progress)


def is_loopback(url: str) -> bool:
    """Whether `url` names this machine itself, which is reached without the environment's proxies."""
    host = httpx.URL(url).host.removesuffix(".")
    with suppress(OSError):
        host = socket.inet_ntoa(socket.inet_aton(host))  # 0 and 127.1, as the system reads them
    try:
        address = ipaddress.ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        return address.is_loopback or address.is_unspecified  # 0.0.0.0 and :: reach whoever listens there
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _is_http_url(url: str) -> bool:
    try:
        parsed = httpx.URL(url)
        return parsed.scheme in ("http", "https") and bool(parsed.host.encode("idna"))
    except (httpx.InvalidURL, UnicodeError):  # of a name with an empty or too long label
        return False
