"""`python -m app`: the command line. What the commands do is elsewhere."""

import argparse
import sys
from pathlib import Path

from dotenv import load_dotenv
from pydantic import ValidationError

from app.config_file import read_args
from app.launcher import SERVE_HERE, Launcher
from app.settings import AppArgs, LaunchSettings


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m app", description="Text and image embeddings over HTTP.")
    parser.add_argument("--config", default="serve_config.yaml", help="Serve config file to take `args` from")
    parser.add_argument(
        "command", nargs="?", default="serve", choices=["serve", "dev", SERVE_HERE], metavar="serve|dev"
    )
    options = parser.parse_args(argv)
    load_dotenv(".env")
    try:
        settings = LaunchSettings.from_environment()
        # Read by the child too; a mistake in it is told before anything starts.
        args = read_args(Path(options.config)).with_environment()
    except (OSError, ValueError) as error:
        return _complain(_words(error))
    if options.command != SERVE_HERE:
        return Launcher(settings, options.config, _say, reload=options.command == "dev").run()
    _serve_here(args.model_copy(update={"local": True}), settings)
    return 0


def _serve_here(args: AppArgs, settings: LaunchSettings) -> None:
    # Imported late: the launcher and the other commands need no Ray.
    from app.main import build
    from deployments.local import run

    run(build(args), settings.host, settings.port)


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "\n".join(
            f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}, not {e['input']!r}" for e in error.errors()
        )
    return str(error)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _complain(line: str) -> int:
    sys.stderr.write(line + "\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
