"""Decodes images in worker processes, so that a file that crashes its decoder fails no other request. Threads call the
pool with one image each; a worker (`decode_worker`) serves one thread at a time."""

import logging
import math
import queue
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from app.config.args import Limits
from app.config.settings import process_environment
from app.errors import InvalidImage
from app.images import decode_worker, decoder
from app.images.decode_worker import Request
from app.images.decoder import DecodedImage
from app.images.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

_MAIN = """
import sys
sys.path[:] = {path!r}
from app.images import decode_worker
decode_worker.limit_memory({pixels})
decode_worker.main(int(sys.argv[1]))
"""
_BUFFER = 2**20
_ENVIRONMENT = {
    # OpenBLAS threads are not used here and would only reserve memory.
    "OPENBLAS_NUM_THREADS": "1",
    # By default glibc would return all memory after each image, and the next one would cause a thousand page faults.
    "MALLOC_MMAP_THRESHOLD_": str(8 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(32 * 2**20),
}


def command(limits: Limits) -> Sequence[str]:
    """The command that starts a worker, with this process's import path. The socket's number is appended."""
    return [sys.executable, "-c", _MAIN.format(path=sys.path, pixels=limits.image_pixels)]


@dataclass(slots=True, eq=False)
class DecodePool:
    """A `Decoder`. Workers are started on demand and end with this process, or when the pool is garbage-collected.
    `size` bounds the workers, and thus the images and calling threads at a time; `limits` bound a worker's memory."""

    size: int
    limits: Limits
    command: Callable[[Limits], Sequence[str]] = command
    _idle: "queue.LifoQueue[_Worker | None]" = field(init=False)

    def __post_init__(self) -> None:
        self._idle = queue.LifoQueue()
        for _ in range(self.size):
            self._idle.put(None)

    def __call__(self, data: bytes, preprocessing: Preprocessing, limits: Limits, param: str) -> DecodedImage:
        """Raises the errors of `decode_crop`, and InvalidImage if the worker crashes or takes too long."""
        worker = self._idle.get()
        try:
            for attempt in range(2):
                if worker is not None and (attempt or worker.process.poll() is not None):
                    worker.end()
                    worker = None
                if worker is None:
                    worker = _start(self.command(self.limits))
                    if worker is None:
                        # The system allows no more processes: decode in this process.
                        return decoder.decode_crop(data, preprocessing, limits, param)
                try:
                    return worker.decode(data, Request(preprocessing, limits, param))
                except TimeoutError:
                    worker.end()
                    message = f"The image could not be decoded within {limits.deadline_s:g} s."
                    raise InvalidImage(message, param) from None
                except (OSError, EOFError, ValueError) as error:
                    logger.warning("a decoding process failed (%s: %s)", type(error).__name__, error)
            message = "The decoder crashed on this image; save it again, if necessary in another format."
            raise InvalidImage(message, param)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        idle: list[_Worker | None] = []
        with suppress(queue.Empty):
            while True:
                idle.append(self._idle.get_nowait())
        for worker in idle:
            if worker is not None:
                worker.end()
            self._idle.put(None)

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


@dataclass(slots=True, eq=False)
class _Worker:
    process: "subprocess.Popen[bytes]"
    socket: socket.socket

    def decode(self, data: bytes, request: Request) -> DecodedImage:
        self.socket.settimeout(request.limits.deadline_s)
        with suppress(BrokenPipeError, ConnectionResetError):
            # The worker may have crashed or rejected the image before reading all of it; its response tells.
            decode_worker.send_request(self.socket, request, data)
        return decode_worker.receive_response(self.socket, math.prod(request.preprocessing.shape))

    def end(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()


def _start(argv: Sequence[str]) -> _Worker | None:
    ours, theirs = socket.socketpair()
    with theirs:
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        environment = process_environment() | _ENVIRONMENT
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [*argv, str(theirs.fileno())], pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL, env=environment
            )
        except OSError:
            ours.close()
            logger.warning("can't start a decoding process; decoding in this process", exc_info=True)
            return None
    return _Worker(process, ours)
