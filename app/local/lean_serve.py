"""Serve without pandas: `import ray.serve` takes pandas and pyarrow along, 30 MB in each of its processes, only to send
data frames as JSON. It does without them where they are not installed; here they are, for Ray Data. Importing this
module tells Serve's own modules, and nobody else, that there is no pandas.
"""

import inspect
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

SERVE: Final = "ray.serve."


class NoPandas(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if fullname == "pandas" and _importer().startswith(SERVE):
            raise ImportError("not for this", name=fullname)
        return None


def _importer() -> str:
    """The name of the module whose import statement this is."""
    frame = inspect.currentframe()
    while frame is not None and (
        frame.f_globals is globals() or frame.f_code.co_filename.startswith("<frozen importlib")
    ):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")) if frame is not None else ""


sys.meta_path.insert(0, NoPandas())
