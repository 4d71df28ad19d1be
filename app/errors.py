"""The errors a client can see, which are the client's own classes: a class is an HTTP status and a code. `app.api`
knows how they are written on the wire."""

import re

from embeddings_client.errors import *  # noqa: F403

# Of one item by their nature: `param` names it, on every route.
OF_ITEM = (InvalidItem, NotFinite, RequestRejected)  # noqa: F405

# Begins with / ~/ ./ or ../ where no name, address or other path goes on.
_PATH = re.compile(r"(?<![\w.:/~-])(?:~|\.{1,2})?/[^\s'\"`,;:()]*[^\s'\"`,;:().]")


def without_paths(message: str) -> str:
    """Paths in a message cut to their last parts; ids of the hub and URLs stay."""
    return _PATH.sub(lambda found: found[0].rstrip("/").rsplit("/", 1)[-1], message)
