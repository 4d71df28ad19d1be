"""R7: an hour at half load, with texts of all sizes, images, and changing models; memory and latency must stay flat."""

import asyncio
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loadtests.faults import figures
from loadtests.faults.asking import Bare, send_once
from loadtests.faults.driver import Outcome
from loadtests.faults.judging import Judged
from loadtests.faults.memory import Sampler, Series, leaks
from loadtests.faults.oracle import Book, book
from loadtests.faults.overload import closed_loop
from loadtests.faults.row import Row
from loadtests.faults.run import Run, drive, for_seconds, row_of
from loadtests.faults.service import faulty, processes_of
from loadtests.running import RunningService
from loadtests.workloads import body, data_uri, jpegs

NAME = "soak"
SECONDS = 3600.0
SAMPLES = 240
PEAK_S, CLIENTS = 15.0, 4
LOAD = 0.5
# Caches fill and allocators settle: what grows after this share of the time is a leak.
WARMING = 0.25
MOST_MB_PER_H = 10.0
# Of the last quarter's median to the second's.
MOST_SLOWER = 1.5
ROOT = Path(__file__).resolve().parents[2]
IMAGE_MODEL = "shapes-clip"
IMAGES_A_HUNDRED, REFUSED_A_HUNDRED = 10, 3


def scenario(scale: float) -> Row:
    known = book(2048, 12)
    # Two models: one of texts, one of images and texts. Entries come and go: the caches are full all the time.
    with faulty(
        text_models=[{"id": "all-MiniLM-L6-v2"}], image_models=[IMAGE_MODEL], cache={"max_size": 1000}
    ) as service:
        return run(service, known, SECONDS * scale)


def run(service: RunningService, known: Book, seconds: float) -> Row:
    mixed = Mixed(service.port, known)
    asyncio.run(closed_loop(mixed, CLIENTS, PEAK_S / 3))
    peak = asyncio.run(closed_loop(mixed, CLIENTS, PEAK_S)) / PEAK_S
    began = time.monotonic()
    with Sampler(processes_of(service).all, seconds / SAMPLES) as sampler:
        outcomes = drive(mixed, LOAD * peak, for_seconds(seconds))
    row = row_of(NAME, Run(outcomes, [], sampler.series), 0, round(0.95 * LOAD * peak * seconds))
    row.none_failed()
    row.notes.insert(0, f"{seconds / 3600:.2f} h at {LOAD * peak:.1f}/s")
    # A slope in MB/h is worth nothing on a few minutes: what is printed there is not judged.
    found = leaks(sampler.series, MOST_MB_PER_H, began + WARMING * seconds)
    if seconds >= 1200:
        row.problems += found
    elif found:
        row.notes.append("too short to judge memory: " + ", ".join(found))
    early, late = (figures.latency_ms(part, 50) for part in _quarters(outcomes)[1::2])
    row.notes.append(f"median {early:.0f} ms in the second quarter, {late:.0f} ms in the last")
    row.must(late <= MOST_SLOWER * early, "answers became slower")
    # Only a run of full length is worth keeping in docs/.
    folder = ROOT / ("docs" if seconds >= SECONDS else "results")
    folder.mkdir(exist_ok=True)
    plot(folder / "soak.png", sampler.series, outcomes, began)
    return row


class Mixed:
    """Of a hundred requests: ten images, three that must be refused, and texts, some known to the cache."""

    def __init__(self, port: int, known: Book) -> None:
        self._port = port
        self._sent = 0
        self._fresh = Bare([port], known, lambda number: known.in_turn(number, 1 + number % 8, 8))
        self._again = Bare([port], known, lambda number: known.drawn(number, 8))
        self._pictures = [data_uri(jpeg) for jpeg in jpegs(40, (160, 120))]
        self._rows: dict[int, Any] = {}

    async def __call__(self, _: int) -> Judged:
        self._sent += 1
        number = self._sent
        kind = random.Random(number).randrange(100)
        if kind < IMAGES_A_HUNDRED:
            return await self._image(number % len(self._pictures))
        if kind < IMAGES_A_HUNDRED + REFUSED_A_HUNDRED:
            return await self._nonsense()
        return await (self._fresh if kind % 2 else self._again)(number)

    async def _image(self, index: int) -> Judged:
        """The same picture must get the same vector every time; it has no other oracle here."""
        answer = await send_once(self._port, "/embed/image", body(images=[self._pictures[index]]))
        if answer.status != 200:
            return Judged("failed", answer.status, answer.body[:300].decode(errors="replace"))
        row = np.asarray(json.loads(answer.body)["embeddings"][0], np.float32)
        known = self._rows.setdefault(index, row)
        same = known.shape == row.shape and float(np.abs(known - row).max()) <= 5e-3
        return Judged("good", 200) if same else Judged("wrong", 200, f"picture {index} has another vector")

    async def _nonsense(self) -> Judged:
        answer = await send_once(self._port, "/embed/text", b'{"texts": [3]}')
        good = answer.status in (400, 422)
        return Judged("good" if good else "failed", answer.status, "" if good else "nonsense was not refused")


def _quarters(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    ordered = sorted(outcomes, key=lambda outcome: outcome.due)
    size = max(1, len(ordered) // 4)
    return [ordered[start : start + size] for start in range(0, 4 * size, size)]


def plot(file: Path, series: Series, outcomes: Sequence[Outcome], began: float) -> None:
    """Memory of every process and the latency of every request, over time."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (memory, latency) = plt.subplots(2, 1, figsize=(9, 8), sharex=True)
    for name, samples in sorted(series.items()):
        memory.plot([(s.at - began) / 60 for s in samples], [s.rss / 2**20 for s in samples], label=name, linewidth=0.8)
    memory.set_ylabel("RSS, MB")
    memory.legend(fontsize=5, ncols=3)
    ordered = sorted(outcomes, key=lambda outcome: outcome.due)
    latency.plot([(o.due - began) / 60 for o in ordered], [1e3 * o.latency_s for o in ordered], ",")
    latency.set_yscale("log")
    latency.set_ylabel("latency, ms")
    latency.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
