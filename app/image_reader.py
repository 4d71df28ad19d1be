"""From image entries to what a model reads of them: load, decode, digest, crop. Off the event loop."""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from app import images, sources
from app.encoders.preprocess import Preprocessing
from app.errors import PayloadTooLarge, ServiceError
from app.settings import Limits


@dataclass(frozen=True, slots=True)
class ReadImage:
    """`digest` names the decoded pixels, whatever file they came in; `crop` are the RGB bytes the model reads."""

    digest: bytes
    crop: bytes


@dataclass(frozen=True, slots=True)
class ImageReader:
    """One per ingress replica.

    Args:
        workers: Runs the decoding; as many images at once as it has workers, which bounds the memory taken.
        limits: What may come in.
        folder: What `./paths` are beneath; None refuses them.
    """

    workers: Executor
    limits: Limits
    folder: Path | None

    async def read(
        self, entries: Sequence[object], preprocessing: Preprocessing, param: str
    ) -> list[ReadImage | ServiceError]:
        """One outcome per entry, in order.

        Args:
            entries: Bytes of image files, or entries as `app.sources` reads them.
            param: Name of the field that held them; errors name `param.index`.

        Raises:
            PayloadTooLarge: All images together have more pixels than one request may have.
        """
        loop = asyncio.get_running_loop()
        loaded = await asyncio.gather(
            *(
                loop.run_in_executor(self.workers, _load, entry, self.folder, self.limits, f"{param}.{i}")
                for i, entry in enumerate(entries)
            )
        )
        pixels = sum(found.pixels for found in loaded if isinstance(found, _Loaded))
        if pixels > self.limits.request_pixels:
            most = self.limits.request_pixels
            raise PayloadTooLarge(f"The images have {pixels:,} pixels together; at most {most:,} a request.", param)
        return await asyncio.gather(
            *(
                loop.run_in_executor(self.workers, _read, found, preprocessing, self.limits, f"{param}.{i}")
                for i, found in enumerate(loaded)
            )
        )


@dataclass(frozen=True, slots=True)
class _Loaded:
    data: bytes
    pixels: int


def _load(entry: object, folder: Path | None, limits: Limits, param: str) -> _Loaded | ServiceError:
    try:
        data = entry if isinstance(entry, bytes) else sources.load(entry, folder=folder, limits=limits, param=param)
        return _Loaded(data, images.read_header(data, limits, param=param).pixels)
    except ServiceError as error:
        return error


def _read(
    found: _Loaded | ServiceError, preprocessing: Preprocessing, limits: Limits, param: str
) -> ReadImage | ServiceError:
    if isinstance(found, ServiceError):
        return found
    try:
        picture = images.decode(found.data, limits, param=param)
    except ServiceError as error:
        return error
    digest = hashlib.blake2b(images.pixel_content(picture), digest_size=32).digest()
    return ReadImage(digest, preprocessing.fit(picture))
