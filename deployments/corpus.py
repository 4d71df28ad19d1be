"""Ray Data runs the spans of a corpus: a pool of actors, each with the model; a killed one's span is done again."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import cloudpickle
import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from app.corpus_encoder import CorpusEncoder, CorpusJob, Receipt
from app.corpus_model import LoadModel, load_model
from app.corpus_run import Execute
from app.corpus_source import Span

OBJECT_STORE_BYTES = 128 * 2**20  # spans in, receipts out: rows and vectors never pass through it
MOST_BLOCKS = 4096
SPAN_RETRIES = 5  # a span that takes its worker down again and again ends the run instead of going round for ever


class CorpusWorker:
    """The actor's class; its processes are named after it."""

    def __init__(self, job: CorpusJob, load: LoadModel) -> None:
        self._encode = CorpusEncoder(job, load(job.model, job.kind, job.threads, job.offline))

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for receipt in self._encode(cloudpickle.loads(row["span"])):
            yield asdict(receipt)


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A Ray to run on: the one this process uses already, the one at `address`, or a local one that ends with it."""
    if ray.is_initialized():
        yield
        return
    if address is None:
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level="error",
        )
    else:
        ray.init(address=address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def on_ray(concurrency: int, num_cpus: float, num_gpus: float, load: LoadModel = load_model) -> Execute:
    """Workers as actors: `concurrency` of them, each asking for so much."""

    def execute(job: CorpusJob, spans: Sequence[Span]) -> Iterator[Receipt]:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        for name in ("ray.data", "ray.data._internal"):
            logging.getLogger(name).setLevel(logging.ERROR)
        items = [{"span": cloudpickle.dumps(span)} for span in spans]
        spread = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS))
        with warnings.catch_warnings():
            # Ray 2.60 deprecates these two and has no other way to say them.
            warnings.simplefilter("ignore", RayDeprecationWarning)
            rows = spread.flat_map(
                CorpusWorker,
                fn_constructor_args=(job, load),
                compute=ray.data.ActorPoolStrategy(size=min(concurrency, len(items))),
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                max_restarts=-1,
                max_task_retries=SPAN_RETRIES,
            )
        for row in rows.iter_rows():
            yield Receipt(**row)

    return execute
