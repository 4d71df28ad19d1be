"""One command's talk with the service: its client, and its failures in words and exit codes."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any

from app.client import AsyncEmbeddingClient, Retry
from app.config.settings import ClientSettings
from app.errors import InvalidImage, InvalidItem, InvalidRequest, ServiceError

# A person waits: a service that is not there is told of after some seconds.
RETRY = Retry(attempts=4)
FAILED, MISTAKE, INTERRUPTED = 1, 2, 130

Talk = Callable[[AsyncEmbeddingClient], Coroutine[Any, Any, None]]


def talk(options: argparse.Namespace, settings: ClientSettings, with_client: Talk) -> int:
    """The exit code: 0; 1 for data or a service that failed; 2 for a mistake in the command; 130 for Ctrl-C."""
    signal.signal(signal.SIGTERM, _leave)
    try:
        asyncio.run(_talk(options, settings, with_client))
    except ServiceError as error:
        return _complain(_words(error), _code(error))
    except OSError as error:
        return _complain(str(error), MISTAKE)
    except KeyboardInterrupt:
        return _complain("Interrupted; nothing was written.", INTERRUPTED)
    return 0


async def _talk(options: argparse.Namespace, settings: ClientSettings, with_client: Talk) -> None:
    try:
        client = AsyncEmbeddingClient(
            options.url or settings.url, api_key=options.api_key or settings.api_key, retry=RETRY
        )
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    async with client:
        await with_client(client)


def _code(error: ServiceError) -> int:
    if isinstance(error, (InvalidItem, InvalidImage)):
        return FAILED
    return MISTAKE if error.status < 500 else FAILED


def _words(error: ServiceError) -> str:
    return f"{error.message} (request {error.request_id})" if error.request_id else error.message


def _complain(words: str, code: int) -> int:
    sys.stderr.write(words + "\n")
    return code


def _leave(number: int, frame: FrameType | None) -> None:
    # Unwinds, so that files in the making are removed.
    raise SystemExit(128 + number)
