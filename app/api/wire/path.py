"""The plain form of a request's path."""

import re


def plain_path(path: str) -> str:
    """Single slashes and none at the end: `//embed/` -> `/embed`. Clients join a base URL and a path in these ways."""
    return re.sub("/{2,}", "/", path).rstrip("/") or "/" if "//" in path or path[-1:] == "/" else path
