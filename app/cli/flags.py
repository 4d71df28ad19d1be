"""The flags of `embed`, and those that `search` has for files of lines. Imports nothing, as every start reads this."""

import argparse

EMBED = "embed"
FORMATS = ("text", "jsonl", "csv", "parquet")
OUTPUTS = ("float32", "int8", "uint8", "binary", "ubinary")


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]", search: str) -> None:
    """`search`: name of the command that is there already."""
    embed = commands.add_parser(EMBED, help="embed a file through a running service, into one file")
    embed.add_argument(
        "source", metavar="FILE", help="text lines, JSONL, CSV, Parquet, a folder of images; - for stdin"
    )
    embed.add_argument("--out", required=True, metavar="OUT", help="a file ending in .parquet, .npy or .jsonl")
    embed.add_argument("--output-type", choices=OUTPUTS, default="float32", help="default: float32")
    embed.add_argument("--input-type", choices=("query", "document"), help="use the model's prompt for it")
    embed.add_argument("--skip-bad", action="store_true", help="leave out rows that can't be read, and say how many")
    _add_source(embed)
    _add_service(embed)
    lines = commands.choices[search]
    lines.add_argument("--json", action="store_true", help="JSON lines also for lines of a file")
    _add_source(lines)
    _add_service(lines)


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--column", default="text", help="the column with the texts (default: text)")
    parser.add_argument("--format", choices=FORMATS, help="of stdin, or of a file whose ending does not tell")


def _add_service(parser: argparse.ArgumentParser) -> None:
    service = parser.add_argument_group("the service that is asked")
    service.add_argument("--url", help="default: EMBEDDING_URL, else http://127.0.0.1 at PORT")
    service.add_argument("--api-key", help="default: EMBEDDING_API_KEY; other users see the flag, but not the variable")
    service.add_argument("--model", help="default: the service's first")
    words = "show a progress bar; default: where stderr is a terminal"
    service.add_argument("--progress", action=argparse.BooleanOptionalAction, help=words)
