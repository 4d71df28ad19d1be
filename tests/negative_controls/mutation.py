"""One guard taken away."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """`old`, which stands once in `file`, becomes `new`."""

    guard: str
    file: str
    old: str
    new: str
    tests: str
