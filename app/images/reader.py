"""Reads image entries of a request: fetches, loads and decodes them in worker threads."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from app.config.args import Limits
from app.dispatch.admission import AdmissionControl, image_units
from app.errors import DeadlineExceeded, PayloadTooLarge, ServiceError
from app.images import sources
from app.images.decoder import DecodedImage, Decoder, decode_crop, read_header
from app.images.fetcher import Budget, Fetcher
from app.images.preprocessing import Preprocessing


@dataclass(slots=True, eq=False)
class ImageReader:
    """One per ingress replica.

    Args:
        workers: Threads that decode; their number bounds the images in memory.
        folder: The folder of `./paths`; None: paths are rejected.
        fetcher: Fetches URLs; None: URLs are rejected.
        decoder: Decodes one image in a thread of `workers`.
    """

    workers: Executor
    limits: Limits
    folder: Path | None
    fetcher: Fetcher | None = None
    decoder: Decoder = decode_crop
    admission: AdmissionControl[object] = field(init=False)

    def __post_init__(self) -> None:
        limits = self.limits
        self.admission = AdmissionControl("The decoding of images", image_units, limits.queue_s, limits.deadline_s)

    async def read(
        self, entries: Sequence[object], preprocessing: Preprocessing, param: str
    ) -> list[DecodedImage | ServiceError]:
        """One outcome per entry, in order.

        Args:
            entries: Bytes of image files, or entries as `app.images.sources` reads them.
            param: Name of the field that held them; errors name `param.index`.

        Raises:
            PayloadTooLarge: All images together have too many pixels for one request.
            Overloaded: Too many images are waiting already.
            DeadlineExceeded: The images were not read within a request's deadline.
        """
        deadline_s = self.limits.deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                budget = Budget(self.limits.image_body)
                fetched = await asyncio.gather(
                    *(self._fetch(entry, budget, f"{param}.{i}") for i, entry in enumerate(entries))
                )
                with self.admission.track(fetched):
                    return await self._read(fetched, preprocessing, param)
        except TimeoutError:
            raise DeadlineExceeded(f"The images were not read within {deadline_s:g} s.", param) from None

    async def _read(
        self, entries: Sequence[object], preprocessing: Preprocessing, param: str
    ) -> list[DecodedImage | ServiceError]:
        loop = asyncio.get_running_loop()
        loaded = await asyncio.gather(
            *(
                loop.run_in_executor(self.workers, _load, entry, self.folder, self.limits, f"{param}.{i}")
                for i, entry in enumerate(entries)
            )
        )
        pixels = sum(file.pixels for file in loaded if isinstance(file, _Loaded))
        if pixels > self.limits.request_pixels:
            limit = self.limits.request_pixels
            raise PayloadTooLarge(f"The images have {pixels:,} pixels in total; at most {limit:,} per request.", param)
        return await asyncio.gather(
            *(
                loop.run_in_executor(self.workers, self._decode, file, preprocessing, f"{param}.{i}")
                for i, file in enumerate(loaded)
            )
        )

    async def _fetch(self, entry: object, budget: Budget, param: str) -> object:
        """The content of a URL, or its error; other entries are returned unchanged."""
        if self.fetcher is not None and (url := sources.url_of(entry)) is not None:
            try:
                return await self.fetcher.fetch(url, budget=budget, param=param)
            except ServiceError as error:
                return error
        return entry

    def _decode(
        self, file: "_Loaded | ServiceError", preprocessing: Preprocessing, param: str
    ) -> DecodedImage | ServiceError:
        if isinstance(file, ServiceError):
            return file
        try:
            return self.decoder(file.data, preprocessing, self.limits, param)
        except ServiceError as error:
            return error


@dataclass(frozen=True, slots=True)
class _Loaded:
    data: bytes
    pixels: int


def _load(entry: object, folder: Path | None, limits: Limits, param: str) -> _Loaded | ServiceError:
    if isinstance(entry, ServiceError):
        return entry
    try:
        data = entry if isinstance(entry, bytes) else sources.load(entry, folder=folder, limits=limits, param=param)
        return _Loaded(data, read_header(data, limits, param=param).pixels)
    except ServiceError as error:
        return error
