"""The flags of `embed-corpus` and `search`. Imports little, as every start of `python -m app` reads this."""

import argparse

from app.config.args import PART_ROWS

EMBED, SEARCH = "embed-corpus", "search"
COMMANDS = (EMBED, SEARCH)
DTYPES = ("float32", "float16", "int8")


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    embed = commands.add_parser(EMBED, help="embed a file or folder of texts or images, resumable")
    embed.add_argument("source", metavar="SRC", help="Parquet, JSONL, CSV, text lines or a folder of images")
    embed.add_argument("--out", required=True, metavar="DST", help="folder for Parquet, or a file ending in .npy")
    embed.add_argument("--column", default="text", help="the column to embed (default: text)")
    embed.add_argument("--id", dest="id_column", metavar="COLUMN", help="ids beside a .npy: this column's values")
    embed.add_argument("--model", help="default: the service's first model of the kind")
    embed.add_argument("--dtype", choices=DTYPES, default="float32")
    embed.add_argument("--dimensions", type=_positive, help="keep the first so many numbers of each vector")
    embed.add_argument("--batch-size", type=_batch_size, default=None, metavar="N|auto", help="items of one run")
    embed.add_argument(
        "--part-rows", type=_positive, default=PART_ROWS, help=f"rows of one file (default: {PART_ROWS})"
    )
    embed.add_argument("--concurrency", type=_positive, default=1, metavar="N", help="workers (default: 1)")
    embed.add_argument("--num-cpus", type=_positive, help="CPUs and threads of each; default: this machine's, shared")
    embed.add_argument("--num-gpus", type=float, default=0.0, help="GPUs of each worker")
    embed.add_argument("--address", help="a Ray cluster to run on; default: one on this machine, for this run")
    embed.add_argument("--strict", action="store_true", help="stop at the first bad row")
    embed.add_argument(
        "--warm-cache",
        metavar="URL",
        help="afterwards fill what is free in that service's cache, most frequent texts first",
    )
    embed.add_argument("--here", type=int, metavar="PARENT", help=argparse.SUPPRESS)
    search = commands.add_parser(SEARCH, help="the nearest rows of an embedded corpus, exactly, or lines of a file")
    search.add_argument("query", metavar="QUERY")
    search.add_argument(
        "destination",
        metavar="DST",
        help="what embed-corpus wrote; or a file of texts, - for stdin, to embed through a running service",
    )
    search.add_argument("--top-k", type=_positive, default=5)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _batch_size(text: str) -> int | None:
    return None if text == "auto" else _positive(text)
