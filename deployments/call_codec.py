"""Calls of encoders and their replies, as the heads (JSON) and bodies (raw bytes) of RPC frames."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

import orjson

from app.rpc.errors import error_fields, error_from
from app.telemetry.tracing import Origins
from app.types import Prompted, TextInput, TokenIds
from deployments.messages import VERSION, EncodeReply, require

# Under which a replica's metadata says how to reach its RPC server.
METADATA: Final = "rpc"
OF_TEXTS: Final = ("method", "timeout_s", "texts")
OF_IMAGES: Final = ("method", "timeout_s", "sizes")


def pack_call(method: str, args: Sequence[Any]) -> tuple[bytes, bytes]:
    """Raises TypeError or ValueError where the call is none of these, or its texts are no Unicode."""
    items, timeout_s, origins, *large = args
    fields = {"version": VERSION, "method": method, "timeout_s": timeout_s, "origins": origins}
    fields["large"] = large == [True]
    if method == "encode_images":
        fields["sizes"] = [len(crop) for crop in items]
        return orjson.dumps(fields), b"".join(items)
    fields["texts"] = items
    return orjson.dumps(fields), b""


def unpack_call(head: bytes, body: bytes) -> tuple[str, list[TextInput] | list[bytes], float, Origins | None, bool]:
    """The method and its arguments. Raises Unavailable where a field is missing, any other where the call is
    malformed."""
    fields = orjson.loads(head)
    is_images = fields.get("method") == "encode_images"
    require("A call", fields, OF_IMAGES if is_images else OF_TEXTS)
    items: Any
    if is_images:
        items = [body[begin:end] for begin, end in pairwise(accumulate(fields["sizes"], initial=0))]
    else:
        items = [text if isinstance(text, str) else _text(text) for text in fields["texts"]]
    origins = fields.get("origins")
    origins = origins and [(position, times) for position, times in origins]
    return fields["method"], items, fields["timeout_s"], origins, fields.get("large", False)


def pack_reply(reply: EncodeReply) -> tuple[bytes, bytes]:
    fields = reply.fields()
    packed: bytes = fields.pop("packed")
    fields["errors"] = [(index, error_fields(error)) for index, error in reply.errors.items()]
    return orjson.dumps(fields), packed


def unpack_reply(head: bytes, body: bytes) -> EncodeReply:
    """Raises Unavailable where a field is missing."""
    fields = orjson.loads(head)
    require("EncodeReply", fields, ("errors",))
    fields["errors"] = {index: error_from(error) for index, error in fields["errors"]}
    fields["packed"] = body
    return EncodeReply.from_fields(fields)


def _text(fields: dict[str, Any]) -> TextInput:
    if "ids" in fields:
        return TokenIds(tuple(fields["ids"]))
    require("A text", fields, ("text",))
    return Prompted(fields["text"], fields.get("prompt"), fields.get("cut", "end"))
