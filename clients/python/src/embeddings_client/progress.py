"""The progress bar: on stderr, or a notebook's own."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm.auto import tqdm

DELAY_S = 2.0  # shorter operations show no bar

OnProgress = Callable[[int], object]
"""Called with the number of items that have just finished."""


@contextmanager
def bar(total: int | None, unit: str, shown: bool | None, delay_s: float = DELAY_S) -> Iterator[OnProgress]:
    """`total`: None: not known. `shown`: None: if stderr is a terminal, or this is a notebook."""
    if shown is None and "ipykernel.zmqshell" in sys.modules:
        shown = True  # also without ipywidgets: as text, although a notebook's stderr is no terminal
    hidden = None if shown is None else not shown
    with tqdm(
        total=total, unit=f" {unit}", disable=hidden, delay=delay_s, file=sys.stderr, dynamic_ncols=True
    ) as shown_bar:
        yield shown_bar.update
