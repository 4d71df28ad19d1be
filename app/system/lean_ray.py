"""Ray's processes without pandas and Arrow, which are there for Ray Data: 37 MB in each process that has both.

`import ray.serve` takes pandas along, only to send data frames as JSON, and each worker that starts takes Arrow along,
only to send tables. Both do without where they are not installed. Importing this module tells Ray's own modules, and
nobody else, that they are not; Arrow is there again for who has imported Ray Data.
"""

import inspect
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

RAY: Final = "ray."
SERVE: Final = "ray.serve."
RAY_DATA: Final = "ray.data"


class Lean(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if (fullname == "pandas" and _importer().startswith(SERVE)) or (
            fullname == "pyarrow" and RAY_DATA not in sys.modules and _importer().startswith(RAY)
        ):
            raise ModuleNotFoundError("not for this", name=fullname)
        return None


def _importer() -> str:
    """The name of the module whose import statement this is."""
    frame = inspect.currentframe()
    while frame is not None and (
        frame.f_globals is globals() or frame.f_code.co_filename.startswith("<frozen importlib")
    ):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")) if frame is not None else ""


sys.meta_path.insert(0, Lean())
