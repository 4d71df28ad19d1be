"""Reads image entries of a request: fetches, loads and decodes them in worker threads."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.config.args import Limits
from app.dispatch.admission import AdmissionControl, image_units
from app.errors import DeadlineExceeded, PayloadTooLarge, ServiceError
from app.images import sources
from app.images.decoder import DecodedImage, Decoder, decode_crop, read_header
from app.images.fetcher import Budget, Fetcher
from app.images.preprocessing import Preprocessing


@dataclass(slots=True, eq=False)
class ImageReader:
    """One per ingress replica. The number of `workers`, which decode, bounds the images in memory. Without a `folder`
    `./paths` are rejected, without a `fetcher` URLs."""

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
        """One outcome per entry, in order. Entries are bytes of files, or what `sources` reads; `param` held them.

        Raises:
            PayloadTooLarge: All images together have too many pixels for one request.
            Overloaded: Too many images are waiting already.
            DeadlineExceeded: The images were not read within a request's deadline.
        """
        params = [f"{param}.{i}" for i in range(len(entries))]
        deadline_s = self.limits.deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                budget = Budget(self.limits.image_body)
                fetched = await asyncio.gather(
                    *(self._fetch(entry, budget, of) for entry, of in zip(entries, params, strict=True))
                )
                with self.admission.track(fetched):
                    return await self._decoded(fetched, preprocessing, param, params)
        except TimeoutError:
            raise DeadlineExceeded(f"The images were not read within {deadline_s:g} s.", param) from None

    async def _decoded(
        self, entries: Sequence[object], preprocessing: Preprocessing, param: str, params: Sequence[str]
    ) -> list[DecodedImage | ServiceError]:
        loading = [self._step(self._load, entry, of) for entry, of in zip(entries, params, strict=True)]
        files = await asyncio.gather(*loading)
        pixels, limit = sum(file[1] for file in files if isinstance(file, tuple)), self.limits.request_pixels
        if pixels > limit:
            raise PayloadTooLarge(f"The images have {pixels:,} pixels in total; at most {limit:,} per request.", param)
        decoding = [self._step(self._decode, file, of, preprocessing) for file, of in zip(files, params, strict=True)]
        outcomes: list[DecodedImage | ServiceError] = await asyncio.gather(*decoding)
        return outcomes

    async def _fetch(self, entry: object, budget: Budget, param: str) -> object:
        """The content of a URL, or its error; other entries are returned unchanged."""
        if self.fetcher is not None and (url := sources.url_of(entry)) is not None:
            try:
                return await self.fetcher.fetch(url, budget=budget, param=param)
            except ServiceError as error:
                return error
        return entry

    async def _step(self, step: Callable[..., Any], found: object, *args: object) -> Any:
        """What a step makes, in a thread, of what was found before; or the error that it raises, or was found."""
        if isinstance(found, ServiceError):
            return found
        try:
            return await asyncio.get_running_loop().run_in_executor(self.workers, step, found, *args)
        except ServiceError as error:
            return error

    def _load(self, entry: object, param: str) -> tuple[bytes, int]:
        """The file and the number of its pixels."""
        if not isinstance(entry, bytes):
            entry = sources.load(entry, folder=self.folder, limits=self.limits, param=param)
        return entry, read_header(entry, self.limits, param=param).pixels

    def _decode(self, file: tuple[bytes, int], param: str, preprocessing: Preprocessing) -> DecodedImage:
        return self.decoder(file[0], preprocessing, self.limits, param)
