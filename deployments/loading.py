"""Loading a model, or its backup when it can't be had. Which models these are is the settings' business."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from app.errors import ModelUnavailable
from app.settings import Backup, ModelArgs
from app.types import ModelInfo

logger = logging.getLogger(__name__)

M = TypeVar("M")


def load_with_backup(
    load: Callable[[ModelArgs], M], args: ModelArgs, backup: Backup | None
) -> tuple[M | None, str | None, str | None]:
    """(model, note, reason): `reason` says why `args` can't be had, `note` names what serves instead."""
    try:
        return load(args), None, None
    except ModelUnavailable as error:
        reason = error.message
        logger.warning("%s", reason)
    if backup is None:
        return None, None, reason
    try:
        return load(backup.model), f"{args.id} can't be had; {backup.note}.", reason
    except ModelUnavailable as error:
        return None, None, f"{reason} Its backup neither: {error.message}"


def noted(info: ModelInfo, note: str | None) -> ModelInfo:
    """The same model, with what clients should know of it."""
    return replace(info, note=note) if note else info
