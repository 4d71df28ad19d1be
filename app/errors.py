"""The errors a client can see, which are the client's own classes: a class is an HTTP status and a code.

Nothing here knows how an error is written on the wire; `app.api` does.
"""

from embeddings_client.errors import *  # noqa: F403

# Of one item by their nature: `param` names it, on every route.
OF_ITEM = (InvalidItem, NotFinite, RequestRejected)  # noqa: F405
