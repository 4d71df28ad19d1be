"""`embed-corpus` and `search`: what they do, and the process that sees to it that no Ray is left behind.

Embedding runs in a child (`--here`), for Ray reads its environment when it is imported, and so that somebody is
there to sweep up when the driver is killed.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from app import corpus_search, process_tree
from app.corpus_flags import EMBED, SEARCH
from app.corpus_run import CorpusOptions, embed_corpus
from app.encoders.catalog import canonical
from app.errors import InvalidItem, ServiceError
from app.settings import AppArgs, ModelArgs, process_environment

GRACE_S = 8.0
LINE_EVERY_S = 2.0
# GPUs like large batches; not measured, as none was at hand.
GPU_BATCH_SIZE = 256
TOKENS_PER_ITEM = 64


def run(options: argparse.Namespace, args: AppArgs, argv: Sequence[str]) -> int:
    """The exit code: 0, 1 for a run that failed or stopped at a bad row, 2 for a mistake in the command."""
    if options.command == EMBED and not options.here:
        return _watch_over([sys.executable, "-m", "app", *argv, "--here"], own_ray=options.address is None)
    try:
        return _search(options, args) if options.command == SEARCH else _embed(options, args)
    except InvalidItem as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    except ServiceError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2 if error.status < 500 else 1


def _embed(options: argparse.Namespace, args: AppArgs) -> int:
    process_tree.die_with_parent()
    # What Ray has to say belongs to stderr: stdout is the summary's alone.
    answer = os.dup(1)
    os.dup2(2, 1)
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    # Imported here: Ray is slow to import, and `search` needs none.
    from deployments.corpus import cluster, on_ray

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
    with cluster(options.address):
        # Again: `ray.init` has set handlers of its own.
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)
        execute = on_ray(options.concurrency, cpus, options.num_gpus)
        summary = embed_corpus(options.source, options.out, corpus, execute, _Teller())
    with os.fdopen(answer, "w") as out:
        out.write(json.dumps(summary, indent=2) + "\n")
    return 0


def _model(options: argparse.Namespace, args: AppArgs, *, image: bool) -> ModelArgs:
    """As the service is configured to run it, so that vectors are the same."""
    configured = args.image_models if image else args.text_models
    model = configured[0] if configured else ModelArgs(id="none")
    if options.model is not None:
        named = (entry for entry in configured if canonical(entry.id) == canonical(options.model))
        model = next(named, ModelArgs(id=options.model, **args.encoder.model_dump()))
    size = options.batch_size or (GPU_BATCH_SIZE if options.num_gpus else None)
    return model.model_copy(update={"batch_size": size, "batch_tokens": size * TOKENS_PER_ITEM}) if size else model


def _search(options: argparse.Namespace, args: AppArgs) -> int:
    threads = os.cpu_count() or 1
    corpus = corpus_search.open_corpus(options.destination)
    query = corpus_search.encode_query(corpus, options.query, args, threads)
    started = time.perf_counter()
    ranking = corpus_search.nearest(query, corpus.vectors, options.top_k, threads)
    seconds = time.perf_counter() - started
    for score, row in zip(ranking.scores, corpus.rows(ranking.indices.tolist()), strict=True):
        sys.stdout.write(json.dumps({"score": round(float(score), 6), **row}, ensure_ascii=False, default=str) + "\n")
    sys.stderr.write(f"{len(corpus.vectors):,} vectors in {seconds * 1e3:.1f} ms\n")
    return 0


def _watch_over(command: list[str], *, own_ray: bool) -> int:
    env = process_environment()
    if own_ray:
        # An address of another cluster must not lead this run astray; ports of its own ask for a token.
        env.pop("RAY_ADDRESS", None)
        env |= {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    process_tree.adopt_orphans()
    child = subprocess.Popen(command, env=env, start_new_session=True)  # noqa: S603 - our own module
    stopping: list[float] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(time.monotonic())
        child.terminate()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    while child.poll() is None:
        with suppress(subprocess.TimeoutExpired):
            child.wait(0.5)
        if stopping and time.monotonic() - stopping[0] > GRACE_S:
            child.kill()
    process_tree.end_descendants()
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


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
