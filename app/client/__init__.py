"""The Python client, by the name it had before it became a distribution of its own, `embeddings_client`."""

import sys

from embeddings_client import *  # noqa: F403
from embeddings_client import __all__ as __all__

# Its modules keep their names too: `embeddings_client.retry` is `embeddings_client.retry`.
for name, module in list(sys.modules.items()):
    if name.startswith("embeddings_client."):
        short = name.rpartition(".")[2]
        globals()[short] = sys.modules[f"{__name__}.{short}"] = module
