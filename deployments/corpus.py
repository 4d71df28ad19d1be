"""Ray Data runs the spans of a corpus: a pool of actors, each with the model; a killed one's span is done again."""

import logging
import socket
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import cloudpickle
import pyarrow as pa
import ray
import ray.data
from ray.util.annotations import RayDeprecationWarning

from app.corpus.filesystem import locate
from app.corpus.model import LoadModel, load_model
from app.corpus.run import Execute
from app.corpus.source import RowSpan
from app.corpus.worker import CorpusEncoder, CorpusJob, Receipt
from app.errors import InvalidRequest, ServiceError, Unavailable
from deployments.ray_cluster import start_ray
from deployments.serve_internals import ray_data

OBJECT_STORE_BYTES = 128 * 2**20  # spans in, receipts out: rows and vectors never pass through it
MOST_BLOCKS = 4096
CONNECT_S = 5.0
SPANS_AT_ONCE = 2  # one runs the model while another is read, tokenized or written
SPAN_RETRIES = 5  # a span that takes its worker down again and again ends the run instead of going round for ever


class CorpusWorker:
    """The actor's class; its processes are named after it. What it can say in words (no such model, ...) is an outcome
    as a receipt is: Ray would start an actor that raises in its constructor again, and lose its words."""

    def __init__(self, job: CorpusJob, load: LoadModel) -> None:
        self._trouble: ServiceError | None = None
        try:
            self._encode = CorpusEncoder(job, load(job.model, job.kind, job.options.threads, job.options.offline))
        except ServiceError as error:
            self._trouble = error

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, bytes]]:
        try:
            if self._trouble is not None:
                raise self._trouble
            for receipt in self._encode(cloudpickle.loads(row["span"])):
                yield {"outcome": cloudpickle.dumps(receipt)}
        except ServiceError as error:
            yield {"outcome": cloudpickle.dumps(error)}


@contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """A Ray to run on: the one this process uses already, the one at `address`, or a local one that ends with it."""
    if ray.is_initialized():
        yield
        return
    try:
        if address is None:
            start_ray(OBJECT_STORE_BYTES, "error")
        else:
            _join(address)
        yield
    finally:
        ray_data.forbid_auto_connect()
        ray.shutdown()


def _join(address: str) -> None:
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdigit() and "/" not in host:
            # Ray itself would try for minutes to reach a place where nobody listens.
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        ray.init(address=address, log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:
        raise Unavailable(f"No Ray can be reached at {address}: {str(error).partition(chr(10))[0]}") from error


def lacking(num_cpus: float, num_gpus: float) -> str | None:
    """Why no worker that asks for so much can start on the nodes there are; None if one can."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if any(node.get("CPU", 0) >= num_cpus and node.get("GPU", 0) >= num_gpus for node in nodes):
        return None
    have = ", ".join(f"{node.get('CPU', 0):g} CPUs and {node.get('GPU', 0):g} GPUs" for node in nodes) or "no node"
    return f"No node has {num_cpus:g} CPUs and {num_gpus:g} GPUs for a worker. There is: {have}."


def on_ray(concurrency: int, num_cpus: float, num_gpus: float, load: LoadModel = load_model) -> Execute:
    """Workers as actors: `concurrency` of them, each asking for so much."""

    def execute(job: CorpusJob, spans: Sequence[RowSpan]) -> Generator[Receipt]:
        for uri in (job.source.uri, job.folder):
            if locate(uri).in_memory:
                raise InvalidRequest(f"{uri} is the memory of one process; workers are others. Use a shared place.")
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
                compute=ray.data.ActorPoolStrategy(
                    size=min(concurrency, len(items)),
                    max_concurrent_calls_per_actor=SPANS_AT_ONCE,
                    enable_true_multi_threading=True,
                ),
                num_cpus=num_cpus,
                num_gpus=num_gpus,
                max_restarts=-1,
                max_task_retries=SPAN_RETRIES,
            )
        with closing(ray_data.blocks(rows)) as blocks:
            for block in blocks:
                yield from _receipts(ray.get(block))

    return execute


def _receipts(block: pa.Table) -> Iterator[Receipt]:
    """Raises the ServiceError that a worker told instead."""
    for told in block["outcome"].to_pylist():
        outcome: Receipt | ServiceError = cloudpickle.loads(told)
        if isinstance(outcome, ServiceError):
            raise outcome
        yield outcome
