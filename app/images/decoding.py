"""One image file to the crop a model reads and the digest of all its pixels. Where that runs is for others to say."""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from app.config.args import Limits
from app.images import decoder
from app.images.preprocessing import Preprocessing


@dataclass(frozen=True, slots=True)
class ReadImage:
    """`digest` names the decoded pixels, whatever file they came in; `crop` are the RGB bytes the model reads."""

    digest: bytes
    crop: bytes


class Decoder(Protocol):
    def __call__(self, data: bytes, preprocessing: Preprocessing, limits: Limits, param: str, /) -> ReadImage: ...


def decode(data: bytes, preprocessing: Preprocessing, limits: Limits, param: str) -> ReadImage:
    """Raises what `images.decode` raises."""
    picture = decoder.decode(data, limits, param=param)
    digest = hashlib.blake2b(decoder.pixel_content(picture), digest_size=32).digest()
    return ReadImage(digest, preprocessing.fit(picture))
