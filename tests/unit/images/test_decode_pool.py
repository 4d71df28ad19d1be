import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest

from app.config.args import Limits
from app.errors import InvalidImage, PayloadTooLarge, ServiceError
from app.images.decode_pool import DecodePool
from app.images.decoder import DecodedImage, decode_crop
from app.images.preprocessing import Preprocessing
from app.images.reader import ImageReader
from loadtests.pictures import blocks, encode, every_format, limits
from loadtests.running import wait_for
from tests.support.fragile_decoder import DIE, DIE_ONCE, HANG, HOARD, LIE

SMALL = Preprocessing(8, None, (8, 8), 3, np.zeros((3, 256), np.float32))
PICTURE = encode(blocks(), "PNG")
DEADLY = encode(blocks(4), "PNG")
LIMITS = limits()


def fragile(_: Limits) -> Sequence[str]:
    return [sys.executable, "-m", "tests.support.fragile_decoder"]


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    pool = DecodePool(2, LIMITS, fragile)
    yield pool
    pool.close()
    assert children() == []


def children() -> list[psutil.Process]:
    """The pool's; a service that other tests use is a child of this process as well."""
    return [child for child in psutil.Process().children() if _decodes(child)]


def _decodes(process: psutil.Process) -> bool:
    try:
        line = " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return True  # ended, and not yet collected
    return "decode_worker" in line or "fragile_decoder" in line


def of(pool: DecodePool, data: bytes, limits: Limits = LIMITS) -> DecodedImage | ServiceError:
    try:
        return pool(data, SMALL, limits, "images.5")
    except ServiceError as error:
        assert error.param == "images.5"  # noqa: PT017
        return error


def test_workers_decode_as_this_process_does() -> None:
    pool = DecodePool(1, LIMITS)
    assert children() == []  # none before the first image
    for data in every_format().values():
        assert of(pool, data) == decode_crop(data, SMALL, LIMITS, "p")
    [worker] = children()
    error = of(pool, PICTURE[:80])
    assert isinstance(error, InvalidImage)
    assert error.message == "The PNG image is damaged or cut short."
    assert isinstance(of(pool, PICTURE, limits(image_pixels=10)), PayloadTooLarge)
    assert children() == [worker]
    pool.close()
    assert children() == []


def test_the_largest_picture_fits_into_a_workers_memory() -> None:
    allowed = limits(image_pixels=12_000_000)
    data = encode(np.zeros((3000, 4000, 4), np.uint8), "PNG", compress_level=1)
    pool = DecodePool(1, allowed)
    assert of(pool, data, allowed) == decode_crop(data, SMALL, allowed, "p")
    pool.close()


async def test_a_file_that_kills_its_decoder_fails_alone(pool: DecodePool) -> None:
    def planted(data: bytes, preprocessing: Preprocessing, limits: Limits, param: str) -> DecodedImage:
        # The header is checked before a decoder sees the file, so the deadly words come in behind it.
        return pool(DIE if data == DEADLY else data, preprocessing, limits, param)

    async def go() -> list[DecodedImage | ServiceError]:
        with ThreadPoolExecutor(2) as threads:
            reader = ImageReader(threads, LIMITS, None, None, planted)
            return await reader.read([PICTURE, DEADLY, PICTURE, DEADLY, PICTURE, PICTURE], SMALL, "images")

    good = decode_crop(PICTURE, SMALL, LIMITS, "p")
    outcomes = await go()  # starts several processes: no 10 s limit
    assert [outcomes[i] for i in (0, 2, 4, 5)] == [good] * 4
    for i in (1, 3):
        error = outcomes[i]
        assert isinstance(error, InvalidImage)
        assert (error.status, error.param) == (400, f"images.{i}")
        assert "decoder crashed on this image" in error.message


def test_an_item_whose_worker_died_of_something_else_is_decoded_after_all(pool: DecodePool, tmp_path: Path) -> None:
    assert isinstance(of(pool, DIE_ONCE + b":" + os.fsencode(tmp_path / "died")), DecodedImage)
    assert (tmp_path / "died").exists()


def test_workers_that_died_idle_cost_no_item(pool: DecodePool) -> None:
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: of(pool, PICTURE), range(8)))
    killed = children()
    for worker in killed:
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
    for _ in range(4):
        assert isinstance(of(pool, PICTURE), DecodedImage)
    assert not {worker.pid for worker in children()} & {worker.pid for worker in killed}


def test_a_decoder_that_never_ends_is_ended(pool: DecodePool, tmp_path: Path) -> None:
    error = of(pool, HANG + b":" + os.fsencode(tmp_path / "hung"), Limits(deadline_s=3))
    assert isinstance(error, InvalidImage)
    assert error.message == "The image could not be decoded within 3 s."
    assert isinstance(of(pool, PICTURE), DecodedImage)


def test_an_answer_that_is_none_is_not_believed(pool: DecodePool) -> None:
    assert isinstance(of(pool, LIE), InvalidImage)
    assert isinstance(of(pool, PICTURE), DecodedImage)


def test_memory_has_an_end() -> None:
    script = (
        "import sys; from app.images import decode_worker; from tests.support.fragile_decoder import fragile;"
        "decode_worker.limit_memory(1000); decode_worker.main(int(sys.argv[1]), fragile)"
    )
    pool = DecodePool(1, LIMITS, lambda _: [sys.executable, "-c", script])
    assert isinstance(of(pool, HOARD), InvalidImage)  # MemoryError there, which ends the worker
    assert isinstance(of(pool, PICTURE), DecodedImage)
    pool.close()


def test_where_no_process_can_be_had_decoding_goes_on_here() -> None:
    pool = DecodePool(1, LIMITS, lambda _: ["/no/such/program"])
    assert of(pool, PICTURE) == decode_crop(PICTURE, SMALL, LIMITS, "p")


OWNER = """
import sys, threading
from tests.unit.images.test_decode_pool import *
pool = DecodePool(1, LIMITS, fragile)
of(pool, PICTURE)
if len(sys.argv) > 1:
    threading.Thread(target=of, args=(pool, HANG + b":" + sys.argv[1].encode()), daemon=True).start()
print(*(child.pid for child in children()), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("busy", [False, True])
def test_no_worker_outlives_a_killed_owner(busy: bool, tmp_path: Path) -> None:
    arguments = [str(tmp_path / "hung")] if busy else []
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    assert owner.stdin is not None
    worker = psutil.Process(int(owner.stdout.readline()))
    if busy:
        wait_for(lambda: (tmp_path / "hung").exists())
    owner.kill()
    owner.wait()
    wait_for(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    owner.stdout.close()
    owner.stdin.close()
