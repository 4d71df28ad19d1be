"""httpx's functions for services under test: each call has a connection of its own, and none reads this machine's
certificates anew, which takes longer than most of the calls."""

from typing import Final

import httpx

CLIENT: Final = httpx.Client(timeout=300, limits=httpx.Limits(max_keepalive_connections=0))
get, post, request, delete = CLIENT.get, CLIENT.post, CLIENT.request, CLIENT.delete
