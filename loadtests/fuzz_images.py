"""Images that are nearly right: every allowed format cut, flipped and resized. Pure and seeded."""

import base64
import json
import random
from collections.abc import Iterator
from itertools import islice

from loadtests.fuzz_requests import Sent
from loadtests.pictures import every_format, with_checksums

Change = tuple[str, int, int]
KINDS = ["bit", "byte", "short", "long", "cut", "drop", "double"]
VALUES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1]
A_REQUEST = 16


def damaged_images(count: int, seed: int) -> Iterator[bytes]:
    chance = random.Random(seed)
    samples = every_format()
    for _ in range(count):
        name = chance.choice(list(samples))
        changes = [
            (
                chance.choice(KINDS),
                chance.randrange(80) if chance.random() < 0.5 else chance.randrange(2**16),
                chance.choice(VALUES) if chance.random() < 0.5 else chance.randrange(2**32),
            )
            for _ in range(chance.randint(1, 6))
        ]
        data = damaged(samples[name], changes)
        yield with_checksums(data) if name.startswith("png") and chance.random() < 0.5 else data


def requests(count: int, seed: int) -> Iterator[Sent]:
    """`count` images, `A_REQUEST` of them in each request to `/embed/batch`, which answers for each by itself."""
    images = damaged_images(count, seed)
    while part := list(islice(images, A_REQUEST)):
        body = json.dumps({"items": [{"image": base64.b64encode(image).decode()} for image in part]}).encode()
        yield Sent("POST", "/embed/batch", "/embed/batch", ("content-type: application/json",), body, len(part))


def damaged(data: bytes, changes: list[Change]) -> bytes:
    out = bytearray(data)
    for kind, where, value in changes:
        at = where % max(1, len(out))
        match kind:
            case "bit" if out:
                out[at] ^= 1 << value % 8
            case "byte" if out:
                out[at] = value & 0xFF
            case "short":
                out[at : at + 2] = (value & 0xFFFF).to_bytes(2, "big" if value & 0x10000 else "little")
            case "long":
                out[at : at + 4] = value.to_bytes(4, "big" if where & 1 else "little")
            case "cut":
                del out[at:]
            case "drop":
                del out[at : at + value % 64]
            case "double":
                out[at:at] = out[at : at + value % 256]
    return bytes(out)
