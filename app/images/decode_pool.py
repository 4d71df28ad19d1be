"""Worker processes that decode, so that a file which kills its decoder costs that worker and no other request.

Here: starting, watching and replacing workers. What a worker does is `decode_worker`; what decoding is,
`image_decoding`. Threads call the pool, one image each; a thread and a worker are together for one image.
"""

import logging
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
from app.images import decode_worker, decoding
from app.images.decode_worker import Request
from app.images.decoding import ReadImage
from app.images.preprocessing import Preprocessing

logger = logging.getLogger(__name__)

_TRIES = 2
_MAIN = """
import sys
sys.path[:] = {path!r}
from app.images import decode_worker
decode_worker.limit_memory({pixels})
decode_worker.main(int(sys.argv[1]))
"""
_BUFFER = 2**20
_ENVIRONMENT = {
    # Threads of a mathematical library would only map memory here.
    "OPENBLAS_NUM_THREADS": "1",
    # Between two images glibc would give all memory back, and fault in a thousand pages for the next one.
    "MALLOC_MMAP_THRESHOLD_": str(8 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(32 * 2**20),
}


def command(limits: Limits) -> Sequence[str]:
    """What starts a worker; the number of its socket follows. It imports from where this process does."""
    return [sys.executable, "-c", _MAIN.format(path=sys.path, pixels=limits.image_pixels)]


@dataclass(slots=True, eq=False)
class DecodePool:
    """A `Decoder`. Workers start with the first images and end with this process, or when it forgets the pool.

    Args:
        size: Most workers, and so images at once; as many threads may call.
        limits: Of what comes in; the largest picture allowed bounds a worker's memory.
        command: What starts a worker.
    """

    size: int
    limits: Limits
    command: Callable[[Limits], Sequence[str]] = command
    _idle: "queue.LifoQueue[_Worker | None]" = field(init=False)

    def __post_init__(self) -> None:
        self._idle = queue.LifoQueue()
        for _ in range(self.size):
            self._idle.put(None)

    def __call__(self, data: bytes, preprocessing: Preprocessing, limits: Limits, param: str) -> ReadImage:
        """Raises InvalidImage and PayloadTooLarge as `image_decoding.decode`, and for an image whose decoder died."""
        worker = self._idle.get()
        try:
            for attempt in range(_TRIES):
                if worker is not None and (attempt or not worker.alive()):
                    worker.end()
                    worker = None
                if worker is None:
                    worker = _start(self.command(self.limits))
                    if worker is None:
                        # No process can be had (a limit, a full table): decoding here is better than not at all.
                        return decoding.decode(data, preprocessing, limits, param)
                try:
                    return worker.decode(data, Request(preprocessing, limits, param))
                except TimeoutError:
                    worker.end()
                    most = limits.deadline_s
                    raise InvalidImage(f"The image could not be decoded within {most:g} s.", param) from None
                except (OSError, EOFError, ValueError) as error:
                    logger.warning("a decoding process failed (%s: %s)", type(error).__name__, error)
            raise InvalidImage("The image's decoder fails on it; save it anew, in another format if need be.", param)
        finally:
            self._idle.put(worker)

    def close(self) -> None:
        """End all workers that do nothing just now."""
        taken: list[_Worker | None] = []
        with suppress(queue.Empty):
            while True:
                taken.append(self._idle.get_nowait())
        for worker in taken:
            if worker is not None:
                worker.end()
            self._idle.put(None)

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


@dataclass(slots=True, eq=False)
class _Worker:
    process: "subprocess.Popen[bytes]"
    wire: socket.socket

    def alive(self) -> bool:
        return self.process.poll() is None

    def decode(self, data: bytes, request: Request) -> ReadImage:
        self.wire.settimeout(request.limits.deadline_s)
        height, width = request.preprocessing.output_size
        with suppress(BrokenPipeError, ConnectionResetError):
            # It may have died of the first bytes, or refuse; what it said before is in the answer.
            decode_worker.send_request(self.wire, request, data)
        return decode_worker.receive_answer(self.wire, height * width * 3)

    def end(self) -> None:
        self.wire.close()
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
                [*argv, str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        except OSError:
            ours.close()
            logger.warning("no decoding process can be started; decoding in this one", exc_info=True)
            return None
    return _Worker(process, ours)
