"""Entries of every kind through the reader, with an internet that answers as told."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from app.config.args import ImageUrls
from app.errors import DeadlineExceeded, InvalidImage, Overloaded, PayloadTooLarge, ServiceError
from app.images.decoder import DecodedImage
from app.images.preprocessing import Preprocessing
from app.images.reader import ImageReader
from loadtests.pictures import blocks, encode, limits, noise
from tests.support.aio import Clock, in_time, run, turns
from tests.support.far_servers import HERE, Internet, ok

SMALL = Preprocessing(8, None, (8, 8), 3, np.zeros((3, 256), np.float32))
PICTURE = encode(blocks(), "PNG")


def read(*entries: object, net: Internet | None = None, body: bytes = PICTURE, **changes: int) -> list[object]:
    async def go() -> list[object]:
        fetcher = net.fetcher(limits=limits(**changes)) if net else None
        with ThreadPoolExecutor(2) as workers:
            reader = ImageReader(workers, limits(**changes), None, fetcher)
            if net is None:
                return [*await reader.read(entries, SMALL, "images")]
            async with net.serving(ok(body)):
                return [*await reader.read(entries, SMALL, "images")]

    return run(go())


@pytest.fixture
def net() -> Internet:
    return Internet({"img.example.org": [[HERE]], "inside.test": [["10.0.0.1"]]})


def test_a_url_is_the_image_that_it_names(net: Internet) -> None:
    [plain] = read(PICTURE)
    assert isinstance(plain, DecodedImage)
    ways = [
        "http://img.example.org/a.png",
        {"url": "http://img.example.org/a.png"},
        {"image_url": {"url": "http://img.example.org/a.png"}},
    ]
    assert read(*ways, net=net) == [plain] * 3


def test_a_bad_url_is_its_items_fault_alone(net: Internet) -> None:
    good, forbidden, missing = read(
        "http://img.example.org/", {"url": "http://inside.test/"}, "http://missing.test/", net=net
    )
    assert isinstance(good, DecodedImage)
    for error, param in ((forbidden, "images.1"), (missing, "images.2")):
        assert isinstance(error, InvalidImage)
        assert (error.message, error.param) == ("No image can be fetched from this URL.", param)


def test_what_a_url_names_is_held_against_the_limits(net: Internet) -> None:
    for changes, error, body in (
        ({}, InvalidImage, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ({}, InvalidImage, PICTURE[:60]),
        ({"image_pixels": 100}, PayloadTooLarge, PICTURE),
        ({"image_bytes": 50}, PayloadTooLarge, PICTURE),
        ({"image_body": 50}, PayloadTooLarge, PICTURE),
    ):
        [outcome] = read("http://img.example.org/a", net=net, body=body, **changes)
        assert isinstance(outcome, error)
        assert isinstance(outcome, ServiceError)
        assert outcome.param == "images.0"


def test_pixels_of_urls_count_for_the_request(net: Internet) -> None:
    with pytest.raises(PayloadTooLarge, match="pixels in total"):
        read("http://img.example.org/a", encode(noise(), "PNG"), net=net, request_pixels=48 * 32)


def test_urls_are_off_unless_hosts_are_named(tmp_path: Path) -> None:
    assert ImageUrls().hosts == ()
    [outcome] = read("http://img.example.org/a.png")
    assert isinstance(outcome, InvalidImage)
    assert outcome.message.startswith("Image URLs are disabled")


class Stuck:
    """A decoder that ends when it is told to."""

    def __init__(self) -> None:
        self.free = threading.Event()

    def __call__(self, *args: object) -> DecodedImage:
        self.free.wait(30)
        return DecodedImage(b"digest", b"crop")


async def test_images_beyond_what_can_be_decoded_in_time_are_refused_at_once() -> None:
    stuck, clock = Stuck(), Clock()
    with ThreadPoolExecutor(1) as workers:
        reader = ImageReader(workers, limits(), None, decoder=stuck)
        reader.admission.clock = clock
        first = asyncio.get_running_loop().create_task(reader.read([PICTURE] * 200, SMALL, "images"))
        await turns()
        clock.now += 2
        try:
            with pytest.raises(Overloaded) as refusal:
                await in_time(reader.read([PICTURE], SMALL, "images"))
        finally:
            stuck.free.set()  # or nobody would see the end of a test that fails
        assert refusal.value.retry_after == 8  # 200 images at the rate that is taken for granted
        assert len(await first) == 200
        assert len(await reader.read([PICTURE], SMALL, "images")) == 1


async def test_images_that_take_too_long_end_with_the_request() -> None:
    stuck = Stuck()
    with ThreadPoolExecutor(1) as workers:
        reader = ImageReader(workers, limits(deadline_s=0.05), None, decoder=stuck)
        try:
            with pytest.raises(DeadlineExceeded, match=r"within 0\.05 s"):
                await in_time(reader.read([PICTURE], SMALL, "images"))
            assert reader.admission.waiting == 0
        finally:
            stuck.free.set()
