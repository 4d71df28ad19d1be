"""What a start does, step by step: lines in a file that the launcher shows. Elsewhere there is no such file."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from app.config.settings import steps_file

STARTED = "Every part has started"  # the last step of a start, whatever became of the models


def tell(line: str) -> None:
    if (file := steps_file()) is not None:
        with suppress(OSError), file.open("a") as steps:
            steps.write(f"{' '.join(line.split())}\n")


@contextmanager
def telling(model: str) -> Iterator[None]:
    """Tell what `app.encoders` logs meanwhile, too."""
    handler = logging.Handler(logging.INFO)
    handler.emit = lambda record: tell(f"{model}: {record.getMessage()}")  # type: ignore[method-assign]
    logger = logging.getLogger("app.encoders")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
