"""The flags of `embed`, `embed-corpus` and `search`. Imports little, so that every `python -m app` starts fast."""

import argparse
import re
from functools import partial
from typing import Any, NoReturn

from app.config import mistakes
from app.config.args import PART_ROWS, VARIABLES
from app.errors import did_you_mean

EMBED, EMBED_CORPUS, SEARCH = "embed", "embed-corpus", "search"
DTYPES = ("float32", "float16", "int8")
FORMATS = ("text", "jsonl", "json", "csv", "tsv", "parquet")
CHUNK_BY = ("tokens", "sentences")
OUTPUTS = ("float32", "int8", "uint8", "binary", "ubinary")


class Parser(argparse.ArgumentParser):
    """Says what an unknown flag or command might mean. A parser of a command is one too."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}.{self._hint(unknown[0].partition('=')[0])}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        if wrong := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            if " | " in message:
                commands = message.partition(":")[0].removeprefix("argument ")
                message = f"there is no command {wrong[1]!r}. Commands: {commands}."
            message += did_you_mean(wrong[1], re.findall(r"'([^']+)'", wrong[2]))
        super().error(message)

    def _hint(self, flag: str) -> str:
        variable = flag.lstrip("-").replace("-", "_").upper()
        if variable in mistakes.OTHERS or variable in VARIABLES.values():
            return f" Set the variable {variable} instead."
        return did_you_mean(flag, self._option_string_actions)


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _add_embed_corpus(commands)
    _add_search(commands)
    embed = commands.add_parser(EMBED, help="embed a file through a running service, into one file")
    sources = "text lines, JSONL, JSON, CSV, TSV, Parquet, a folder of images; - for stdin"
    embed.add_argument("source", metavar="FILE", help=sources)
    embed.add_argument("--out", required=True, metavar="OUT", help="a file ending in .parquet, .npy or .jsonl")
    embed.add_argument("--output-type", choices=OUTPUTS, default="float32", help="default: float32")
    embed.add_argument("--input-type", choices=("query", "document"), help="use the model's prompt for it")
    embed.add_argument("--skip-bad", action="store_true", help="skip invalid rows, and name them")
    _add_source(embed)
    _add_service(embed)


def _add_embed_corpus(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    embed = commands.add_parser(EMBED_CORPUS, help="embed a file or folder of texts or images, resumable")
    embed.add_argument("source", metavar="SRC", help="Parquet, JSONL, JSON, CSV, TSV, text lines or a folder of images")
    embed.add_argument("--out", required=True, metavar="DST", help="folder for Parquet, or a file ending in .npy")
    _add_source(embed)
    embed.add_argument("--id", dest="id_column", metavar="COLUMN", help="column with the ids to write beside a .npy")
    embed.add_argument("--model", help="default: the service's first model of the kind; or one of its sparse encoders")
    embed.add_argument("--dtype", choices=DTYPES, default="float32")
    embed.add_argument("--dimensions", type=_positive, help="keep only the first N numbers of each vector", metavar="N")
    size = "cut texts into chunks of at most N tokens, a row each (default: what the model reads, at most 512)"
    embed.add_argument("--chunks", type=_positive, nargs="?", const=0, metavar="N", help=size)
    overlap = "tokens that a chunk shares with the one before it, at most (default: 0)"
    embed.add_argument("--overlap", type=partial(_positive, least=0), metavar="N", help=overlap)
    embed.add_argument("--by", choices=CHUNK_BY, help="whole words (default) or sentences make a chunk")
    embed.add_argument("--batch-size", type=_batch_size, default=None, metavar="N|auto", help="items per model run")
    rows = f"rows per output file (default: {PART_ROWS})"
    embed.add_argument("--part-rows", type=_positive, default=PART_ROWS, help=rows)
    embed.add_argument("--concurrency", type=_positive, default=1, metavar="N", help="workers (default: 1)")
    cpus = "CPUs and threads per worker; default: this machine's, shared"
    embed.add_argument("--num-cpus", type=_positive, help=cpus)
    embed.add_argument("--num-gpus", type=float, default=0.0, help="GPUs per worker")
    embed.add_argument("--address", help="a Ray cluster to run on; default: a temporary one on this machine")
    embed.add_argument("--strict", action="store_true", help="stop at the first invalid row")
    warming = "afterwards fill the free room in that service's cache, most frequent texts first"
    embed.add_argument("--warm-cache", metavar="URL", help=warming)
    embed.add_argument("--here", type=int, metavar="PARENT", help=argparse.SUPPRESS)


def _add_search(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    search = commands.add_parser(SEARCH, help="find the nearest rows of an embedded corpus, or lines of a file")
    search.add_argument("query", metavar="QUERY")
    destination = "output of embed-corpus; or a file of texts, - for stdin, to embed through a running service"
    search.add_argument("destination", metavar="DST", help=destination)
    search.add_argument("--top-k", type=_positive, default=5)
    beside = "output of embed-corpus by a sparse model, of the same rows: both rankings are fused"
    search.add_argument("--sparse", metavar="DST", help=beside)
    search.add_argument("--json", action="store_true", help="print JSON lines also for lines of a file")
    _add_source(search)
    _add_service(search)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--column", default="text", help="the column with the texts (default: text)")
    parser.add_argument("--format", choices=FORMATS, help="default: that of the suffix; text for stdin")


def _add_service(parser: argparse.ArgumentParser) -> None:
    service = parser.add_argument_group("the running service")
    service.add_argument("--url", help="default: EMBEDDING_URL, else http://127.0.0.1 at PORT")
    service.add_argument("--api-key", help="default: EMBEDDING_API_KEY; other users see the flag, but not the variable")
    service.add_argument("--model", help="default: the service's first")
    progress = "show a progress bar; default: if stderr is a terminal"
    service.add_argument("--progress", action=argparse.BooleanOptionalAction, help=progress)


def _positive(text: str, least: int = 1) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more")
    return number


def _batch_size(text: str) -> int | None:
    return None if text == "auto" else _positive(text)
