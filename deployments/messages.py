"""What travels between the ingress and the encoders: values, in pickles or as the heads (JSON) and bodies of RPC
frames. During a rollout the two ends may be of different versions: fields that an end does not know are ignored, and a
message that lacks one is refused in words."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass
from dataclasses import fields as dataclass_fields
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, Final, Self

import numpy as np
import orjson

from app.errors import ServiceError, Unavailable
from app.images.preprocessing import Patches, Preprocessing
from app.rpc.errors import error_fields, error_from
from app.types import ModelInfo, Pair, Prompted, TextInput, TokenIds

VERSION: Final = 1
METADATA: Final = "rpc"  # under which a replica's metadata says how to reach its RPC server
OF_TEXTS: Final = ("method", "timeout_s", "texts")
OF_IMAGES: Final = ("method", "timeout_s", "sizes")
PIXELS: Final = {"crop": Preprocessing, "patches": Patches}


class Message:
    """A dataclass with slots that travels by the names of its fields, in frames and in pickles."""

    __slots__: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        return {"version": VERSION} | {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_fields(cls, given: Mapping[str, Any]) -> Self:
        """Raises Unavailable where a field without a default is missing."""
        require(cls.__name__, given, _without_default(cls))  # type: ignore[arg-type]
        return cls(**{name: given[name] for name in cls.__slots__ if name in given})

    def __reduce__(self) -> Any:
        return type(self).from_fields, (self.fields(),)


@cache
def _without_default(cls: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclass_fields(cls) if field.default is MISSING)


def require(name: str, given: Mapping[str, Any], needed: tuple[str, ...]) -> None:
    """Raises Unavailable where a message lacks a field."""
    if missing := [field for field in needed if field not in given]:
        raise Unavailable(
            f"{name} of version {given.get('version')} lacks {', '.join(missing)}; version {VERSION} needs it. "
            "Two versions of the service are running: try again.",
            retry_after=1,
        )


@dataclass(frozen=True, slots=True)
class EncodeReply(Message):
    """Outcomes of one call. `packed` holds one cache entry per item, end to end (`app.cache.entry`); what stands there
    for an index in `errors` means nothing. `prepare_ms`: tokenising, or normalising pixels."""

    packed: bytes
    errors: dict[int, ServiceError]
    fingerprint: str
    replica: str
    prepare_ms: float
    queue_ms: float
    inference_ms: float
    batches: int
    sizes: Sequence[int] = ()  # of the entries, where they differ
    took_ms: float = 0.0  # read by an ingress of an older build


@dataclass(frozen=True, slots=True)
class EncoderStatus(Message):
    """A replica's answer on its model; `reason` says why it has none, or only its backup. Counts are since the replica
    began. `preprocessing`: how this model wants its images cropped; None for a text model."""

    replica: str
    info: ModelInfo | None
    reason: str | None = None
    items: int = 0
    batches: int = 0
    preprocessing: Preprocessing | None = None


def pack_call(method: str, args: Sequence[Any]) -> tuple[bytes, bytes]:
    """Raises TypeError or ValueError where the call is none of these, or its texts are no Unicode."""
    if method == "status":
        return orjson.dumps({"version": VERSION, "method": method}), b""
    items, timeout_s, origins, *large = args
    fields = {"version": VERSION, "method": method, "timeout_s": timeout_s, "origins": origins}
    fields["large"] = large == [True]
    if method == "encode_images":
        fields["sizes"] = [len(crop) for crop in items]
        return orjson.dumps(fields), b"".join(items)
    fields["texts"] = items
    return orjson.dumps(fields), b""


def unpack_call(head: bytes, body: bytes) -> tuple[Any, ...]:
    """The method and its arguments. Raises Unavailable where a field is missing; others where it is malformed."""
    fields = orjson.loads(head)
    if fields.get("method") == "status":
        return ("status",)
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


def pack_reply(reply: EncodeReply | EncoderStatus) -> tuple[bytes, bytes]:
    fields = reply.fields()
    if isinstance(reply, EncoderStatus):
        return _pack_status(fields, reply.preprocessing)
    packed: bytes = fields.pop("packed")
    fields["errors"] = [(index, error_fields(error)) for index, error in reply.errors.items()]
    return orjson.dumps(fields), packed


def unpack_reply(head: bytes, body: bytes) -> EncodeReply | EncoderStatus:
    """Raises Unavailable where a field is missing."""
    fields = orjson.loads(head)
    if "info" in fields:
        return _status(fields, body)
    require("EncodeReply", fields, ("errors",))
    fields["errors"] = {index: error_from(error) for index, error in fields["errors"]}
    fields["packed"], fields["sizes"] = body, tuple(fields.get("sizes", ()))
    return EncodeReply.from_fields(fields)


def _pack_status(fields: dict[str, Any], pixels: Preprocessing | None) -> tuple[bytes, bytes]:
    if pixels is None:
        return orjson.dumps(fields), b""
    values = {field.name: getattr(pixels, field.name) for field in dataclass_fields(pixels)}
    levels = values.pop("levels").astype("<f4").tobytes()
    kind = next(name for name, known in PIXELS.items() if known is type(pixels))
    return orjson.dumps(fields | {"preprocessing": [kind, values]}), levels


def _status(fields: dict[str, Any], levels: bytes) -> EncoderStatus:
    """Raises TypeError or KeyError for a preprocessing of a newer version: its pixels would be others."""
    if fields["info"] is not None:
        known = {field.name for field in dataclass_fields(ModelInfo)}
        fields["info"] = ModelInfo(**_with_tuples({name: fields["info"][name] for name in known & set(fields["info"])}))
    if (pixels := fields.get("preprocessing")) is not None:
        table = np.frombuffer(levels, "<f4").reshape(3, 256)
        fields["preprocessing"] = PIXELS[pixels[0]](**_with_tuples(pixels[1]), levels=table)
    return EncoderStatus.from_fields(fields)


def _with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _text(fields: dict[str, Any]) -> TextInput:
    if "ids" in fields:
        return TokenIds(tuple(fields["ids"]))
    require("A text", fields, ("text",))
    if "query" in fields:
        return Pair(fields["query"], fields["text"], fields.get("cut", "end"))
    return Prompted(fields["text"], fields.get("prompt"), fields.get("cut", "end"), fields.get("task"))
