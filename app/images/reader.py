"""From image entries to what a model reads of them: load, decode, digest, crop. Off the event loop."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from app.config.args import Limits
from app.dispatch.admission import AdmissionControl, image_units
from app.errors import DeadlineExceeded, PayloadTooLarge, ServiceError
from app.images import decoder as images
from app.images import sources
from app.images.decoding import Decoder, ReadImage, decode
from app.images.fetcher import Budget, Fetcher
from app.images.preprocessing import Preprocessing

__all__ = ["ImageReader", "ReadImage"]


@dataclass(slots=True, eq=False)
class ImageReader:
    """One per ingress replica.

    Args:
        workers: Runs the decoding; as many images at once as it has workers, which bounds the memory taken.
        limits: What may come in.
        folder: What `./paths` are beneath; None refuses them.
        fetcher: Brings what URLs name; None refuses them.
        decoder: Decodes one image, in a thread of `workers`.
    """

    workers: Executor
    limits: Limits
    folder: Path | None
    fetcher: Fetcher | None = None
    decoder: Decoder = decode
    admission: AdmissionControl[object] = field(init=False)

    def __post_init__(self) -> None:
        limits = self.limits
        self.admission = AdmissionControl("The decoding of images", image_units, limits.queue_s, limits.deadline_s)

    async def read(
        self, entries: Sequence[object], preprocessing: Preprocessing, param: str
    ) -> list[ReadImage | ServiceError]:
        """One outcome per entry, in order.

        Args:
            entries: Bytes of image files, or entries as `app.images.sources` reads them.
            param: Name of the field that held them; errors name `param.index`.

        Raises:
            PayloadTooLarge: All images together have more pixels than one request may have.
            Overloaded: What waits already leaves no time for these.
            DeadlineExceeded: They were not read in a request's time.
        """
        deadline_s = self.limits.deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                budget = Budget(self.limits.image_body)
                here = await asyncio.gather(
                    *(self._fetch(entry, budget, f"{param}.{i}") for i, entry in enumerate(entries))
                )
                with self.admission.track(here):
                    return await self._read(here, preprocessing, param)
        except TimeoutError:
            raise DeadlineExceeded(f"The images were not read within {deadline_s:g} s.", param) from None

    async def _read(
        self, entries: Sequence[object], preprocessing: Preprocessing, param: str
    ) -> list[ReadImage | ServiceError]:
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
                loop.run_in_executor(self.workers, self._decode, found, preprocessing, f"{param}.{i}")
                for i, found in enumerate(loaded)
            )
        )

    async def _fetch(self, entry: object, budget: Budget, param: str) -> object:
        """What a URL names, or the error of that; any other entry as it is."""
        if self.fetcher is not None and (url := sources.url_of(entry)) is not None:
            try:
                return await self.fetcher.fetch(url, budget=budget, param=param)
            except ServiceError as error:
                return error
        return entry

    def _decode(
        self, found: "_Loaded | ServiceError", preprocessing: Preprocessing, param: str
    ) -> ReadImage | ServiceError:
        if isinstance(found, ServiceError):
            return found
        try:
            return self.decoder(found.data, preprocessing, self.limits, param)
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
        return _Loaded(data, images.read_header(data, limits, param=param).pixels)
    except ServiceError as error:
        return error
