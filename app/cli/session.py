"""Runs a command with a client of the service, and turns failures into messages and exit codes."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from app.client import AsyncEmbeddingClient, Retry
from app.config.settings import ClientSettings
from app.errors import InvalidImage, InvalidItem, InvalidRequest, ServiceError, os_reason

RETRY = Retry(attempts=4)  # a person is waiting: report an unreachable service after a few seconds
FAILED, USAGE, INTERRUPTED = 1, 2, 130

Command = Callable[[AsyncEmbeddingClient], Coroutine[Any, Any, None]]


def run_with_client(options: argparse.Namespace, settings: ClientSettings, command: Command) -> int:
    """Run a command. The exit code is 0; 1 for bad data or a failing service; 2 for usage errors; 130 for Ctrl-C."""
    try:
        asyncio.run(_run(options, settings, command))
    except ServiceError as error:
        return report(error)
    except OSError as error:
        return _fail(os_reason(error), USAGE)
    except KeyboardInterrupt:
        return _fail("Interrupted; nothing was written.", INTERRUPTED)
    except asyncio.CancelledError:
        return 128 + signal.SIGTERM
    return 0


async def _run(options: argparse.Namespace, settings: ClientSettings, command: Command) -> None:
    # As `asyncio.run` does it for Ctrl-C: what was begun ends in order, wherever it is.
    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        url, key = options.url or settings.url, options.api_key or settings.api_key
        client = AsyncEmbeddingClient(url, api_key=key, retry=RETRY)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    async with client:
        await command(client)


def report(error: ServiceError) -> int:
    """Print an error; return the exit code."""
    is_usage = error.status < 500 and not isinstance(error, (InvalidItem, InvalidImage))
    request = f" (request {error.request_id})" if error.request_id else ""
    return _fail(error.message + request, USAGE if is_usage else FAILED)


def _fail(message: str, code: int) -> int:
    sys.stderr.write(message + "\n")
    return code


def exit_on_signal(number: int, frame: FrameType | None) -> None:
    # An exception unwinds the stack, so that incomplete files are removed.
    raise SystemExit(128 + number)
