"""A client of the embedding service, sync and async, with numpy arrays in and out.

Its modules are loaded by the first of their names that is used: the service, whose errors and types these are, does
without an HTTP client in each of its processes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from embeddings_client.public import *  # noqa: F403
    from embeddings_client.public import __all__ as __all__
else:

    def __getattr__(name: str) -> Any:
        # PEP 562. Its own names, then its modules, which this import has loaded.
        for names in (vars(import_module(f"{__name__}.public")), globals()):
            if name in names:
                return names[name]
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        return __getattr__("__all__")
