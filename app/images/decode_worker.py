"""A process that decodes images and does nothing else: what a file does to its decoder, it does to this process only.

Here: the worker's loop and what goes over its socket. Not here: starting, watching and replacing workers
(`decode_pool`). A worker has no Ray, no model and no connection but the socket it was started with.

A request is pickled, as the service is trusted; an answer is not, as a worker has read what strangers sent.
"""

import gc
import json
import pickle
import resource
import socket
import struct
import sys
from pathlib import Path
from typing import Final, NamedTuple

from app.config.args import Limits
from app.errors import InvalidImage, PayloadTooLarge, ServiceError
from app.images.decoding import Decoder, ReadImage, decode
from app.images.preprocessing import Preprocessing
from app.system.processes import die_with_parent

DIGEST: Final = 32
_SIZES: Final = struct.Struct("<QQ")
_ERRORS: Final = {error.code: error for error in (InvalidImage, PayloadTooLarge)}
# The largest picture in its several forms (16 bits, alpha, turned), beside what was mapped before the first one.
_BYTES_PER_PIXEL: Final = 32
_SLACK: Final = 512 * 2**20


class Request(NamedTuple):
    preprocessing: Preprocessing
    limits: Limits
    param: str


def send_request(to: socket.socket, request: Request, data: bytes) -> None:
    head = pickle.dumps(request)
    to.sendall(_SIZES.pack(len(head), len(data)) + head)
    to.sendall(data)


def receive_answer(source: socket.socket, crop_size: int) -> ReadImage:
    """What came of a request.

    Args:
        crop_size: Bytes that a crop has; any other number is no answer.

    Raises:
        InvalidImage, PayloadTooLarge: As the decoder said.
        EOFError: The worker is gone.
        ValueError: This is no answer.
    """
    failure, size = _SIZES.unpack(_receive(source, _SIZES.size))
    if failure:
        if size > 2**16:
            raise ValueError("an error too long")
        said = json.loads(_receive(source, size))
        if not isinstance(said, list) or len(said) != 3 or not all(isinstance(part, str | None) for part in said):
            raise ValueError("no error that a decoder has")
        code, message, param = said
        raise _ERRORS.get(code, InvalidImage)(message or "", param)
    if size != DIGEST + crop_size:
        raise ValueError(f"{size} bytes, not {DIGEST + crop_size}")
    answer = _receive(source, size)
    return ReadImage(bytes(answer[:DIGEST]), bytes(answer[DIGEST:]))


def serve(source: socket.socket, decoder: Decoder = decode) -> None:
    """Decode until the other end is closed."""
    while True:
        try:
            head_size, size = _SIZES.unpack(_receive(source, _SIZES.size))
            request: Request = pickle.loads(_receive(source, head_size))  # noqa: S301 - of the service itself
            data = bytes(_receive(source, size))
        except EOFError:
            return
        try:
            read = decoder(data, request.preprocessing, request.limits, request.param)
            answer = _SIZES.pack(0, len(read.digest) + len(read.crop)) + read.digest + read.crop
        except ServiceError as error:
            text = json.dumps([error.code, error.message, error.param]).encode()
            answer = _SIZES.pack(1, len(text)) + text
        try:
            source.sendall(answer)
        except OSError:
            return


def main(descriptor: int, decoder: Decoder = decode) -> None:
    """Run a worker on the socket that this process inherited."""
    die_with_parent()  # while it decodes, nobody reads from the socket to see that its other end is gone
    gc.freeze()
    with socket.socket(fileno=descriptor) as source:
        serve(source, decoder)


def limit_memory(image_pixels: int) -> None:
    """A decoder that wants more than any allowed picture needs gets MemoryError, and the machine stays well."""
    if sys.platform == "linux":
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = mapped + _BYTES_PER_PIXEL * image_pixels + _SLACK
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _receive(source: socket.socket, size: int) -> bytearray:
    taken = bytearray(size)
    view = memoryview(taken)
    done = 0
    while done < size:
        got = source.recv_into(view[done:])
        if not got:
            raise EOFError("the other end is closed")
        done += got
    return taken
