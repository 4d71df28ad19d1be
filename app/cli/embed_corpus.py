"""`embed-corpus` and `search` in a written corpus. Embedding runs in a child process (`--here`): Ray reads its
environment when it is imported, and the parent can end Ray's processes if the child is killed."""

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
from pathlib import Path
from typing import IO

from app.cli.flags import EMBED_CORPUS, SEARCH
from app.cli.result_line import json_line
from app.cli.session import USAGE, exit_on_signal, report
from app.config import model_names
from app.config.args import ModelArgs
from app.config.settings import AppArgs, ClientSettings, process_environment, without_proxies
from app.corpus import cache_warming, search
from app.corpus.model import load_model
from app.corpus.run import CorpusOptions, embed_corpus
from app.errors import InvalidRequest, ServiceError, os_reason
from app.local.service_folder import roots
from app.service.chunks import ChunkRule
from app.system import processes
from app.system.cpus import usable_cpus
from app.vectors.fusion import Fused, fuse

GRACE_S = 8.0
PROGRESS_EVERY_S = 2.0
SHOWN_NATIVE_OUTPUT = 8000
START_S = 240.0  # an idle machine takes 5 s; one with ten times the load that it can handle has taken 60 s
# Latency does not matter here, so batches are larger than a service's: CPUs run them faster, too.
CPU_BATCH_SIZE, CPU_TOKENS_PER_ITEM = 128, 32
GPU_BATCH_SIZE = 256  # GPUs prefer large batches; this value has not been measured
TOKENS_PER_ITEM = 64
FUSED = 1000  # rows of each ranking: as many as the rankings that reciprocal rank fusion was tried on


def run(options: argparse.Namespace, args: AppArgs, argv: Sequence[str]) -> int:
    """Run the command; return the exit code: 0; 1 if it failed or stopped at an invalid row; 2 for usage errors."""
    if options.command == EMBED_CORPUS and options.here is None:
        command = [sys.executable, "-m", "app", *argv, "--here", str(os.getpid())]
        return processes.watch_over(command, _environment(own_ray=options.address is None), GRACE_S)
    try:
        return _search(options, args) if options.command == SEARCH else _embed(options, args)
    except ServiceError as error:
        return report(error)
    except OSError as error:
        sys.stderr.write(f"{os_reason(error)}\n")
        return USAGE


def _embed(options: argparse.Namespace, args: AppArgs) -> int:
    processes.die_with_parent()
    if os.getppid() != options.here:
        return 1  # the parent died before `die_with_parent` took effect
    # A killed parent cleans up nothing, so this process adopts Ray's processes as well.
    processes.adopt_orphans()
    try:
        with _hidden_native_output() as stdout:
            code = _embed_on_ray(options, args, stdout)
    finally:
        processes.end_descendants()
    # Skip the interpreter's shutdown, in which Ray's threads have been seen to deadlock.
    sys.stderr.flush()
    os._exit(code)


def _embed_on_ray(options: argparse.Namespace, args: AppArgs, stdout: IO[str]) -> int:
    signal.signal(signal.SIGTERM, exit_on_signal)
    signal.signal(signal.SIGINT, exit_on_signal)
    # Imported here: Ray is slow to import, and `search` does not need it.
    from deployments.corpus import cluster, lacking, on_ray

    cores = usable_cpus()
    threads = options.num_cpus or max(1, cores // options.concurrency)
    cpus = options.num_cpus or (threads if options.concurrency <= cores else 0.1)
    sparse = sparse_model(options, args)
    if options.warm_cache and sparse:
        raise InvalidRequest(f"--warm-cache fills in vectors of text models; {sparse.id} makes sparse ones.")
    corpus = CorpusOptions(
        column=options.column,
        format=options.format,
        id_column=options.id_column,
        models=(sparse or _model(options, args, image=False), _model(options, args, image=True)),
        dtype=options.dtype,
        dimensions=options.dimensions,
        part_rows=options.part_rows,
        threads=threads,
        offline=args.offline,
        strict=options.strict,
        sparse=sparse is not None,
        chunks=chunk_rule(options),
    )
    if options.warm_cache:
        cache_warming.check_options(options.dtype, options.dimensions)
        service = cache_warming.service_at(options.warm_cache, ClientSettings.from_environment().api_key)
        service("/cache/stats", None)  # fail before embedding if the service can't be reached
    with bounded_start(START_S) as started, cluster(options.address):
        started()
        # Again: `ray.init` has replaced the handlers.
        signal.signal(signal.SIGTERM, exit_on_signal)
        signal.signal(signal.SIGINT, exit_on_signal)
        if lack := lacking(cpus, options.num_gpus):
            if options.address is None:
                raise InvalidRequest(lack)
            sys.stderr.write(f"{lack} Waiting for a node that has them; press Ctrl-C to stop.\n")
        execute = on_ray(options.concurrency, cpus, options.num_gpus)
        summary = embed_corpus(options.source, options.out, corpus, execute, _progress_printer())
    try:
        if options.warm_cache:
            model = load_model(corpus.models[0], "text", cores, args.offline)
            summary["cache"] = cache_warming.warm_cache(options.out, model, service)
    finally:
        stdout.write(json.dumps(summary, indent=2) + "\n")
    return 0


@contextmanager
def bounded_start(seconds: float, exit_process: Callable[[int], None] = os._exit) -> Iterator[Callable[[], None]]:
    """Exit the process unless the yielded function is called in time. Ray's start may hang where no exception helps."""

    def give_up() -> None:
        sys.stderr.write(f"Ray did not start within {seconds:g} s. Run the same command again: it resumes.\n")
        sys.stderr.flush()
        exit_process(1)

    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


@contextmanager
def _hidden_native_output() -> Iterator[IO[str]]:
    """Yields stdout, which is reserved for the summary, and hides what Ray's C++ code logs directly to 1 and 2 at every
    start. The end of that is shown if the run fails with an unexpected error."""
    stdout, stderr = os.dup(1), os.dup(2)
    sys.stderr = os.fdopen(stderr, "w", buffering=1)
    with tempfile.TemporaryFile() as native, os.fdopen(stdout, "w") as out:
        os.dup2(native.fileno(), 1)
        os.dup2(native.fileno(), 2)
        try:
            yield out
        except (OSError, ServiceError, SystemExit):
            raise
        except BaseException:
            native.seek(0)
            sys.stderr.write(native.read().decode(errors="replace")[-SHOWN_NATIVE_OUTPUT:])
            raise


def _model(options: argparse.Namespace, args: AppArgs, *, image: bool) -> ModelArgs:
    """The model with the service's configuration, so that vectors are the same."""
    configured = args.image_models if image else args.text_models
    model = configured[0] if configured else ModelArgs(id="none")
    if options.model is not None:
        model = args.entry(options.model, configured)
    size, tokens = options.batch_size or GPU_BATCH_SIZE, TOKENS_PER_ITEM
    if options.batch_size is None and not options.num_gpus:
        size, tokens = CPU_BATCH_SIZE, CPU_TOKENS_PER_ITEM
    return model.model_copy(update={"batch_size": size, "batch_tokens": size * tokens})


def sparse_model(options: argparse.Namespace, args: AppArgs) -> ModelArgs | None:
    """The sparse encoder that `--model` names, with the service's batches: its graph has a number for each token of
    the vocabulary at each place."""
    name, size = options.model or "", options.batch_size
    folder = Path(name).expanduser()
    if name and folder.is_dir():  # whose name alone may be another's
        named = [each for each in args.sparse_models if Path(each.id).expanduser().absolute() == folder.absolute()]
    else:
        named = [each for each in args.sparse_models if model_names.find(name, [each.name])]
    model = named[0] if named else None
    return model.model_copy(update={"batch_size": size}) if model and size else model


def chunk_rule(options: argparse.Namespace) -> ChunkRule | None:
    """Raises InvalidRequest for a flag that says how to cut, without the one that asks for it."""
    if options.chunks is None:
        for flag in ("overlap", "by"):
            if getattr(options, flag) is not None:
                raise InvalidRequest(f"--{flag} needs --chunks.")
        return None
    return ChunkRule(options.chunks or None, options.overlap or 0, options.by or "tokens")


def _search(options: argparse.Namespace, args: AppArgs) -> int:
    threads = usable_cpus()
    corpus = search.open_corpus(options.destination)
    sparse = search.open_corpus(options.sparse) if options.sparse else None
    if sparse:
        search.check_same_rows(corpus, sparse, threads)
    query = search.encode_query(corpus, options.query, args, threads, wanted=options.model)
    words = search.encode_query(sparse, options.query, args, threads) if sparse else None
    started = time.perf_counter()
    most = options.top_k if sparse is None else max(options.top_k, FUSED)
    ranking = search.best(corpus, query, most, threads)
    best = ranking.indices.tolist()
    found: list[Fused] = [(index, float(score), {}) for index, score in zip(best, ranking.scores, strict=True)]
    if sparse and words is not None:
        other = search.best(sparse, words, most, threads).indices.tolist()
        found = fuse(dense=best, sparse=other)[: options.top_k]
    seconds = time.perf_counter() - started
    for (_, score, ranks), row in zip(found, corpus.rows([index for index, *_ in found]), strict=True):
        about = {"score": round(score, 6), **({"ranks": ranks} if ranks else {})}
        sys.stdout.write(json_line(about, row) + "\n")
    sys.stderr.write(f"{corpus.manifest.rows:,} vectors in {seconds * 1e3:.1f} ms\n")
    return 0


def _environment(own_ray: bool) -> dict[str, str]:
    """The environment of the process that runs the driver."""
    env = process_environment()
    if own_ray:
        # Ignore the address of another cluster. This run's own Ray requires a token on its ports.
        env.pop("RAY_ADDRESS", None)
        env |= {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"} | without_proxies(env)
        # The paths of its sockets have 107 bytes at most, which a TMPDIR may use up.
        env["RAY_TMPDIR"] = str(next(roots(env)).parent)
        # By default Ray runs workers at niceness 15, with lower priority than everything else on this machine.
        env["RAY_worker_niceness"] = "0"
    return env


def _progress_printer() -> Callable[[str], None]:
    """Prints to stderr: one changing line on a terminal, else a line every few seconds."""
    on_terminal, last = sys.stderr.isatty(), 0.0

    def show(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if on_terminal or now - last >= PROGRESS_EVERY_S:
            last = now
            sys.stderr.write(f"\r\x1b[K{line}" if on_terminal else f"{line}\n")
            sys.stderr.flush()

    return show
