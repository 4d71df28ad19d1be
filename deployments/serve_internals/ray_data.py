"""What bulk embedding needs of Ray and Ray Data that is not public."""

from collections.abc import Generator
from contextlib import suppress
from typing import Any


def forbid_auto_connect() -> None:
    """For a process that calls Ray no more: a thread still at work would join any Ray, or start one, and wait."""
    with suppress(ImportError):
        from ray._private import auto_init_hook

        auto_init_hook.enable_auto_connect = False


def blocks(dataset: Any) -> Generator[Any]:
    """References of the blocks, as they come; the run ends with the iteration. Not `iter_rows`: its threads outlive a
    run that stops early, and one that calls Ray then takes this process with it."""
    bundles, _, executor = dataset._execute_to_iterator()
    try:
        for bundle in bundles:
            yield from (block.ref for block in bundle.blocks)
    finally:
        if executor is not None:
            executor.shutdown(force=True)
