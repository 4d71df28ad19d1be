"""`python -m app`: the command line. What the commands do is elsewhere."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from dotenv import dotenv_values, load_dotenv
from pydantic import ValidationError

from app.auth import key_file
from app.cli import flags
from app.cli import key as key_command
from app.config import mistakes
from app.config.settings import AppArgs, ClientSettings, LaunchSettings, image_model_is_chosen, process_environment
from app.errors import ServiceError, os_reason
from app.local import logs
from app.local.launcher import REFUSED, SERVE_HERE, Launcher, access_notice


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    given = process_environment()
    load_dotenv(".env")
    if options.command in ("serve", "dev", flags.EMBED_CORPUS) and not getattr(options, "here", None):  # no child
        for line in mistakes.unknown_variables(dotenv_values(".env")):
            _complain(line)
    if options.command == "pull":
        return _pull(options.model, options.revision)
    if options.command == "inspect":
        # Late, with the models' libraries: the launcher, which stays in memory, needs none.
        from app.cli import inspect

        return inspect.run(options.model, options.revision, _say, _complain)
    if options.command == "key":
        return key_command.run(options.tenant, options.scopes, options.days, _say, _complain)
    if (ask := _asks(options)) is not None:
        try:
            return ask(options, ClientSettings.from_environment())
        except ValidationError as error:
            return _complain(_message(error))
    try:
        settings = LaunchSettings.from_environment()
        if options.command == "logs":
            return logs.show(settings.port, options.follow, _say)
        # Read by the child too; a mistake in it is reported before anything starts.
        args = AppArgs.from_file(Path(options.config)).checked()
        if options.command in ("serve", "dev"):
            key_file.check(args)
            notice = access_notice(args, settings)
    except (OSError, ValueError) as error:
        return _complain(_message(error))
    if options.command in (flags.EMBED_CORPUS, flags.SEARCH):
        # Imported late: the service needs no pyarrow.
        from app.cli import embed_corpus

        return embed_corpus.run(options, args, sys.argv[1:] if argv is None else argv)
    if options.command != SERVE_HERE:
        _say(notice)
        return Launcher(settings, options.config, _say, options.command == "dev", given).run()
    return _serve_here(args.model_copy(update={"shapes_clip_may_serve": not image_model_is_chosen()}), settings)


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = flags.Parser("python -m app", description="Text and image embeddings over HTTP.")
    parser.add_argument("--config", default="serve_config.yaml", help="Serve config file to take `args` from")
    names = "serve | dev | logs | pull | inspect | key | embed | embed-corpus | search"
    commands = parser.add_subparsers(dest="command", metavar=names)
    commands.add_parser("serve", help="run the service on this machine (the default)")
    commands.add_parser("dev", help="the same, restarted when a source file changes")
    commands.add_parser(SERVE_HERE)
    shown = commands.add_parser("logs", help="show the logs of the service at PORT, or of the last one there")
    shown.add_argument("--follow", "-f", action="store_true", help="go on with what is written from now on")
    pull = commands.add_parser("pull", help="fetch a model's files ahead of time, with progress")
    pull.add_argument("model", help="hub id or short name, e.g. all-mpnet-base-v2")
    pull.add_argument("--revision", help="commit, tag or branch")
    look = commands.add_parser("inspect", help="what a model on this machine is, and whether it can be served")
    look.add_argument("model", help="hub id, short name or directory")
    look.add_argument("--revision", help="commit, tag or branch")
    key = commands.add_parser("key", help="make an API key, shown once, and the line that lets it in")
    key.add_argument("--tenant", required=True, help="whose key: quotas and cache entries are the tenant's own")
    key.add_argument("--scopes", default="embed,read", help="of embed, read and admin (default: embed,read)")
    key.add_argument("--days", type=float, help="days until it expires (default: never)")
    flags.add_parsers(commands)
    parser.set_defaults(command="serve")
    return parser


def _pull(model: str, revision: str | None) -> int:
    # Late, as above.
    from app.cli import inspect
    from app.encoders.weights import pull, resolve

    try:
        pull(model, revision)
    except ServiceError as error:
        try:
            weights = resolve(model, revision, offline=True)
        except ServiceError:
            return _complain(error.message)
        _say(f"{error.message} The files are here already ({weights.source}).")
        _say(f"{weights.id} is at {weights.directory}")
    return inspect.run(model, revision, _say, _complain)


def _serve_here(args: AppArgs, settings: LaunchSettings) -> int:
    # Imported late: the launcher and the other commands need no Ray.
    import app.system.lean_ray  # noqa: F401 - before Ray
    from app.main import build
    from deployments.local import lacks, run

    if (lack := lacks(args)) is not None:
        _say(lack)
        return REFUSED
    try:
        application = build(args)
    except ValueError as error:
        _say(str(error))
        return REFUSED
    run(application, settings)
    return 0


def _asks(options: argparse.Namespace) -> Callable[[argparse.Namespace, ClientSettings], int] | None:
    """What runs a command that asks a service which runs already; None for the others."""
    if options.command not in (flags.EMBED, flags.SEARCH):
        return None
    # Imported late, as above.
    from app.cli import embed, search

    if options.command == flags.EMBED:
        return embed.run
    return search.run if search.is_file_of_lines(options.destination) else None


def _message(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return mistakes.of_variables(error)
    return os_reason(error) if isinstance(error, OSError) else str(error)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> int:
    sys.stderr.write(line + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
