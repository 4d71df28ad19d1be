"""`embed-corpus` and `search`: what they do, and the process that sees to it that no Ray is left behind.

Embedding runs in a child (`--here`), for Ray reads its environment when it is imported, and so that somebody is
there to sweep up when the driver is killed.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from typing import IO

from app.cli.corpus_flags import EMBED, SEARCH
from app.config.args import ModelArgs
from app.config.settings import AppArgs, client_key, process_environment
from app.corpus import cache_warming, search
from app.corpus.model import load_model
from app.corpus.run import CorpusOptions, embed_corpus
from app.errors import InvalidItem, InvalidRequest, ServiceError
from app.system import processes

GRACE_S = 8.0
LINE_EVERY_S = 2.0
LAST_WORDS = 8000
# Seconds: an idle machine takes 5, one with ten times the work it can do has taken 60.
START_S = 240.0
# Nobody waits for a single vector here: larger batches than a service's, which CPUs run faster too.
CPU_BATCH_SIZE, CPU_TOKENS_PER_ITEM = 128, 32
# GPUs like large batches; not measured, as none was at hand.
GPU_BATCH_SIZE = 256
TOKENS_PER_ITEM = 64


def run(options: argparse.Namespace, args: AppArgs, argv: Sequence[str]) -> int:
    """The exit code: 0, 1 for a run that failed or stopped at a bad row, 2 for a mistake in the command."""
    if options.command == EMBED and options.here is None:
        command = [sys.executable, "-m", "app", *argv, "--here", str(os.getpid())]
        return processes.watch_over(command, _environment(own_ray=options.address is None), GRACE_S)
    if options.command == SEARCH:
        return _ended(lambda: _search(options, args))
    return _ended(lambda: _embed(options, args))


def _ended(command: Callable[[], int]) -> int:
    """The exit code, and the words for what failed."""
    try:
        return command()
    except InvalidItem as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    except ServiceError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2 if error.status < 500 else 1


def _embed(options: argparse.Namespace, args: AppArgs) -> int:
    processes.die_with_parent()
    if os.getppid() != options.here:
        return 1  # the parent was killed before it could be heard of
    # Its own sweeper too: a parent that was killed sweeps nothing.
    processes.adopt_orphans()
    try:
        with _native_words() as answer:
            code = _embed_on_ray(options, args, answer)
    finally:
        processes.end_descendants()
    # Not the interpreter's own end: Ray's threads have been seen to wait for each other there for good.
    sys.stderr.flush()
    os._exit(code)


def _embed_on_ray(options: argparse.Namespace, args: AppArgs, answer: IO[str]) -> int:
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    # Imported here: Ray is slow to import, and `search` needs none.
    from deployments.corpus import cluster, lacking, on_ray

    cores = os.cpu_count() or 1
    threads = options.num_cpus or max(1, cores // options.concurrency)
    cpus = options.num_cpus or (max(1, cores // options.concurrency) if options.concurrency <= cores else 0.1)
    corpus = CorpusOptions(
        column=options.column,
        id_column=options.id_column,
        models=(_model(options, args, image=False), _model(options, args, image=True)),
        dtype=options.dtype,
        dimensions=options.dimensions,
        part_rows=options.part_rows,
        threads=threads,
        offline=args.offline,
        strict=options.strict,
    )
    if options.warm_cache:
        cache_warming.check_form(options.dtype, options.dimensions)
        service = cache_warming.service_at(options.warm_cache, client_key())
        service("/cache/stats", None)  # told before the work, not after it
    with bounded_start(START_S) as started, cluster(options.address):
        started()
        # Again: `ray.init` has set handlers of its own.
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)
        if lack := lacking(cpus, options.num_gpus):
            if options.address is None:
                raise InvalidRequest(lack)
            sys.stderr.write(f"{lack} Waiting for one that has; Ctrl-C ends it.\n")
        execute = on_ray(options.concurrency, cpus, options.num_gpus)
        summary = embed_corpus(options.source, options.out, corpus, execute, _Teller())
    try:
        if options.warm_cache:
            model = load_model(corpus.models[0], "text", cores, args.offline)
            summary["cache"] = asdict(cache_warming.warm_cache(options.out, model, service))
    finally:
        answer.write(json.dumps(summary, indent=2) + "\n")
    return 0


@contextmanager
def bounded_start(seconds: float, leave: Callable[[int], None] = os._exit) -> Iterator[Callable[[], None]]:
    """Yields what to call when Ray is up. Its start may hang in places that no exception reaches."""

    def give_up() -> None:
        sys.stderr.write(f"Ray did not start within {seconds:g} s. Run the same command again: it goes on.\n")
        sys.stderr.flush()
        leave(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


@contextmanager
def _native_words() -> Iterator[IO[str]]:
    """Yields stdout, which is the summary's alone, and keeps what Ray's C++ writes past Python out of sight.

    It speaks of its own affairs at every start; it is shown when a run ends in a way that nobody foresaw.
    """
    answer, words = os.dup(1), os.dup(2)
    sys.stderr = os.fdopen(words, "w", buffering=1)
    with tempfile.TemporaryFile() as native, os.fdopen(answer, "w") as out:
        os.dup2(native.fileno(), 1)
        os.dup2(native.fileno(), 2)
        try:
            yield out
        except (ServiceError, SystemExit):
            raise
        except BaseException:
            native.seek(0)
            sys.stderr.write(native.read().decode(errors="replace")[-LAST_WORDS:])
            raise


def _model(options: argparse.Namespace, args: AppArgs, *, image: bool) -> ModelArgs:
    """As the service is configured to run it, so that vectors are the same."""
    configured = args.image_models if image else args.text_models
    model = configured[0] if configured else ModelArgs(id="none")
    if options.model is not None:
        model = args.entry(options.model, configured)
    size, tokens = (GPU_BATCH_SIZE, TOKENS_PER_ITEM) if options.num_gpus else (CPU_BATCH_SIZE, CPU_TOKENS_PER_ITEM)
    if options.batch_size is not None:
        size, tokens = options.batch_size, TOKENS_PER_ITEM
    return model.model_copy(update={"batch_size": size, "batch_tokens": size * tokens})


def _search(options: argparse.Namespace, args: AppArgs) -> int:
    threads = os.cpu_count() or 1
    corpus = search.open_corpus(options.destination)
    query = search.encode_query(corpus, options.query, args, threads)
    started = time.perf_counter()
    ranking = search.nearest(query, corpus.vectors, options.top_k, threads)
    seconds = time.perf_counter() - started
    for score, row in zip(ranking.scores, corpus.rows(ranking.indices.tolist()), strict=True):
        sys.stdout.write(json.dumps({"score": round(float(score), 6), **row}, ensure_ascii=False, default=str) + "\n")
    sys.stderr.write(f"{len(corpus.vectors):,} vectors in {seconds * 1e3:.1f} ms\n")
    return 0


def _environment(own_ray: bool) -> dict[str, str]:
    """Of the process that runs the driver."""
    env = process_environment()
    if own_ray:
        # An address of another cluster must not lead this run astray; ports of its own ask for a token.
        env.pop("RAY_ADDRESS", None)
        env |= {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
        # Ray would run the encoders at niceness 15, behind whatever else this machine does.
        env["RAY_worker_niceness"] = "0"
    return env


class _Teller:
    """Progress on stderr: one line that changes on a terminal, else a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = 0.0

    def __call__(self, line: str) -> None:
        now = time.monotonic()
        if not self._terminal and now - self._last < LINE_EVERY_S:
            return
        self._last = now
        sys.stderr.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        sys.stderr.flush()


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
