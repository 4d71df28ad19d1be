"""What the benchmarks send: texts and pictures that no cache has seen, and request bodies made of them."""

import base64
import io
import random
from collections.abc import Iterator, Sequence
from itertools import count

import orjson
from PIL import Image

# One counter for the process: no text is ever made twice, so a miss is a miss.
_number = count()
_WORDS = [
    "river",
    "stone",
    "winter",
    "engine",
    "market",
    "letter",
    "quiet",
    "copper",
    "signal",
    "garden",
    "window",
    "teacher",
    "morning",
    "bridge",
    "paper",
    "silver",
    "journey",
    "mountain",
    "kitchen",
    "village",
    "station",
    "captain",
    "harvest",
    "thunder",
    "blanket",
    "corner",
    "candle",
    "orchard",
]


def short(n: int) -> list[str]:
    """Six or seven tokens each."""
    return [f"Hello world {next(_number)}" for _ in range(n)]


def mid(n: int) -> list[str]:
    """About 21 tokens each."""
    words = "The quick brown fox number {} jumps over the lazy dog near the river bank at dawn"
    return [words.format(next(_number)) for _ in range(n)]


def mixed(n: int, seed: int) -> list[str]:
    """Lengths are log-normal, from 5 to about 250 tokens, median 30."""
    rng = random.Random(seed)
    lengths = [min(240, max(2, round(rng.lognormvariate(3.4, 0.8)))) for _ in range(n)]
    return [f"{next(_number)} {' '.join(rng.choices(_WORDS, k=length))}" for length in lengths]


def words(n: int, length: int, seed: int) -> list[str]:
    """`length` words each, drawn anew for every text: the same for the same seed."""
    rng = random.Random(seed)
    return [f"{' '.join(rng.choices(_WORDS, k=length))} {number}" for number in range(n)]


def zipf(n: int, distinct: int, seed: int) -> list[int]:
    """`n` draws from 0 .. distinct - 1, the k-th with weight 1 / (k + 1)."""
    weights = [1 / (k + 1) for k in range(distinct)]
    return random.Random(seed).choices(range(distinct), weights, k=n)


def jpegs(n: int, size: tuple[int, int] = (640, 480)) -> list[bytes]:
    """Photograph-like pictures: smooth fields of colour with noise, quality 90."""
    return [_jpeg(random.Random(next(_number)), size) for _ in range(n)]


def _jpeg(rng: random.Random, size: tuple[int, int]) -> bytes:
    coarse = Image.frombytes("RGB", (16, 12), rng.randbytes(16 * 12 * 3)).resize(size, Image.Resampling.BICUBIC)
    grain = Image.frombytes("RGB", (size[0] // 4, size[1] // 4), rng.randbytes(size[0] * size[1] * 3 // 16))
    picture = Image.blend(coarse, grain.resize(size, Image.Resampling.BILINEAR), 0.15)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=90)
    return file.getvalue()


def data_uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()


def in_requests(items: Sequence[str], size: int) -> Iterator[list[str]]:
    return (list(items[i : i + size]) for i in range(0, len(items), size))


def body(**fields: object) -> bytes:
    return orjson.dumps(fields)
