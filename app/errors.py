"""The errors a client can see, which are the client's own classes: a class is an HTTP status and a code. `app.api`
knows how they are written on the wire."""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from embeddings_client.errors import *  # noqa: F403

# Of one item by their nature: `param` names it, on every route.
OF_ITEM = (InvalidItem, NotFinite, RequestRejected)  # noqa: F405

# Begins with / ~/ ./ or ../ where no name, address or other path goes on.
_PATH = re.compile(r"(?<![\w.:/~-])(?:~|\.{1,2})?/[^\s'\"`,;:()]*[^\s'\"`,;:().]")


def without_paths(message: str) -> str:
    """Paths in a message cut to their last parts; ids of the hub and URLs stay."""
    return _PATH.sub(lambda found: found[0].rstrip("/").rsplit("/", 1)[-1], message)


def did_you_mean(wanted: str, known: Iterable[str], most: int = 1) -> str:
    """ " Did you mean `topK`?" for `top_k`: the known names that are most like the wanted one; empty if none is.
    Of a model or a path, the last part counts as well."""
    names = list(known)
    plain = {_plain(name.rsplit("/", 1)[-1]): name for name in names} | {_plain(name): name for name in names}
    near = dict.fromkeys(plain[found] for found in get_close_matches(_plain(wanted[:100]), plain, 2 * most, 0.75))
    listed = ", ".join(f"`{name}`" for name in [*near][:most])
    return f" Did you mean {' or '.join(listed.rsplit(', ', 1))}?" if near else ""


def _plain(name: str) -> str:
    """Without case and separators, in which spellings differ most."""
    return re.sub(r"[\s_.:/-]", "", name.lower())


def os_reason(error: OSError) -> str:
    """ "corpus.txt: not found": an error of the system without its number."""
    reason = "not found" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
    return f"{error.filename}: {reason}" if error.filename else reason
