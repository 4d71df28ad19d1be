"""The worker process that decodes images for `decode_pool`: its loop and its protocol. It isolates the service from
crashes and exploits of decoders: it has no Ray, no model, no connection but its socket. Requests are pickled, because
they come from the service itself; responses are not, because it reads untrusted files."""

import gc
import json
import pickle
import resource
import socket
import struct
import sys
from pathlib import Path
from typing import NamedTuple

from app.config.args import Limits
from app.errors import InvalidImage, PayloadTooLarge, ServiceError
from app.images.decoder import DecodedImage, Decoder, decode_crop
from app.images.preprocessing import Preprocessing
from app.system.processes import die_with_parent

DIGEST = 32
_SIZES = struct.Struct("<QQ")
_ERRORS = {error.code: error for error in (InvalidImage, PayloadTooLarge)}
# The memory limit allows the largest picture in several copies (16 bits, alpha, rotated), plus a reserve.
_BYTES_PER_PIXEL = 32
_RESERVE = 512 * 2**20


class Request(NamedTuple):
    preprocessing: Preprocessing
    limits: Limits
    param: str


def send_request(to: socket.socket, request: Request, data: bytes) -> None:
    head = pickle.dumps(request)
    to.sendall(_SIZES.pack(len(head), len(data)) + head)
    to.sendall(data)


def receive_response(source: socket.socket, crop_size: int) -> DecodedImage:
    """The result of a request, with a crop of so many bytes. Raises the decoder's InvalidImage or PayloadTooLarge,
    EOFError if the worker has ended, ValueError for no response."""
    failure, size = _SIZES.unpack(_receive(source, _SIZES.size))
    if failure:
        if size > 2**16:
            raise ValueError("an error message that is too long")
        body = json.loads(_receive(source, size))
        if not isinstance(body, list) or len(body) != 3 or not all(isinstance(part, str | None) for part in body):
            raise ValueError("an invalid error")
        code, message, param = body
        raise _ERRORS.get(code, InvalidImage)(message or "", param)
    if size != DIGEST + crop_size:
        raise ValueError(f"{size} bytes, not {DIGEST + crop_size}")
    content = _receive(source, size)
    return DecodedImage(bytes(content[:DIGEST]), bytes(content[DIGEST:]))


def serve(source: socket.socket, decoder: Decoder = decode_crop) -> None:
    """Decode images until the other end closes the socket."""
    while True:
        try:
            head_size, size = _SIZES.unpack(_receive(source, _SIZES.size))
            request: Request = pickle.loads(_receive(source, head_size))  # noqa: S301 - of the service itself
            data = bytes(_receive(source, size))
        except (EOFError, ConnectionError):
            return
        try:
            image = decoder(data, request.preprocessing, request.limits, request.param)
            response = _SIZES.pack(0, len(image.digest) + len(image.crop)) + image.digest + image.crop
        except ServiceError as error:
            text = json.dumps([error.code, error.message, error.param]).encode()
            response = _SIZES.pack(1, len(text)) + text
        try:
            source.sendall(response)
        except OSError:
            return


def main(descriptor: int, decoder: Decoder = decode_crop) -> None:
    """Run a worker on an inherited socket."""
    die_with_parent()  # while it decodes, the worker does not notice that the other end of its socket was closed
    gc.freeze()
    with socket.socket(fileno=descriptor) as source:
        serve(source, decoder)


def limit_memory(image_pixels: int) -> None:
    """Limit the memory to what the largest allowed picture needs; a decoder that needs more gets a MemoryError."""
    if sys.platform == "linux":
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        most = mapped + _BYTES_PER_PIXEL * image_pixels + _RESERVE
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _receive(source: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    received = 0
    while received < size:
        count = source.recv_into(view[received:])
        if not count:
            raise EOFError("the other end is closed")
        received += count
    return data
