"""Loading a model, or its backup when it can't be had. Which models these are is the settings' business."""

import logging
import re
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from app.config.args import Backup, ModelArgs
from app.errors import ModelUnavailable
from app.types import ModelInfo

logger = logging.getLogger(__name__)

M = TypeVar("M")
# Begins with / ~/ ./ or ../ where no name, address or other path goes on.
PATH = re.compile(r"(?<![\w.:/~-])(?:~|\.{1,2})?/[^\s'\"`,;:()]*[^\s'\"`,;:().]")


def load_with_backup(
    load: Callable[[ModelArgs], M], args: ModelArgs, backup: Backup | None
) -> tuple[M | None, str | None, str | None]:
    """(model, note, reason): `reason` says why `args` can't be had, `note` names what serves instead. Clients see
    both, so neither has a path; the log has."""
    try:
        return load(args), None, None
    except ModelUnavailable as error:
        reason = without_paths(error.message)
        logger.warning("%s", error.message)
    if backup is None:
        return None, None, reason
    try:
        return load(backup.model), f"{args.name} can't be had; {backup.note}.", reason
    except ModelUnavailable as error:
        return None, None, f"{reason} Its backup neither: {without_paths(error.message)}"


def without_paths(words: str) -> str:
    """Paths in a message cut to their last parts; ids of the hub and URLs stay."""
    return PATH.sub(lambda found: found[0].rstrip("/").rsplit("/", 1)[-1], words)


def noted(info: ModelInfo, note: str | None) -> ModelInfo:
    """The same model, with what clients should know of it."""
    return replace(info, note=note) if note else info
