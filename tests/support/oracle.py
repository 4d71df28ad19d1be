"""What the reference library says of texts."""

from collections.abc import Callable, Sequence

from app.types import Vector

Oracle = Callable[[Sequence[str]], Vector]
