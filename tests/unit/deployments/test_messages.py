"""What travels between versions."""

import pickle
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from app.errors import InternalError, InvalidItem, ModelUnavailable, Unavailable
from app.images.preprocessing import Preprocessing
from app.types import ModelInfo, Pair, Prompted, TextInput, TokenIds
from deployments.messages import VERSION, EncodeReply, EncoderStatus, pack_call, pack_reply, unpack_call, unpack_reply

REPLY = EncodeReply(
    packed=bytes(range(256)) * 12,
    errors={3: InvalidItem("is empty", "texts.3"), 1: ModelUnavailable("gone", "model", 1.5)},
    fingerprint="f" * 64,
    replica="r1",
    prepare_ms=0.25,
    queue_ms=1.5,
    inference_ms=2.0,
    batches=2,
)
STATUS = EncoderStatus("r1", None, "no weights", items=3, batches=2)


def encoded(head: bytes, body: bytes) -> EncodeReply:
    reply = unpack_reply(head, body)
    assert isinstance(reply, EncodeReply)
    return reply


def plain(reply: EncodeReply) -> dict[str, Any]:
    errors = {index: (type(e), e.message, e.param, e.retry_after) for index, e in reply.errors.items()}
    return reply.fields() | {"errors": errors}


def test_messages_come_back_from_a_pickle_as_they_were() -> None:
    assert plain(pickle.loads(pickle.dumps(REPLY))) == plain(REPLY)  # noqa: S301
    assert pickle.loads(pickle.dumps(STATUS)) == STATUS  # noqa: S301


def test_sizes_of_entries_come_with_them_and_an_older_version_has_none() -> None:
    head, body = pack_reply(replace(REPLY, sizes=(9, 12)))
    assert encoded(head, body).sizes == (9, 12)
    fields = orjson.loads(head)
    del fields["sizes"]
    assert encoded(orjson.dumps(fields), body).sizes == ()


def test_fields_that_a_version_does_not_know_are_ignored() -> None:
    later = STATUS.fields() | {"version": VERSION + 1, "mood": "good"}
    assert EncoderStatus.from_fields(later) == STATUS
    head, body = pack_reply(REPLY)
    assert plain(encoded(orjson.dumps(orjson.loads(head) | {"mood": "good"}), body)) == plain(REPLY)
    head, body = pack_call("encode_texts", (["a", Prompted("b", "p")], 1.0, None))
    fields = orjson.loads(head) | {"mood": "good"}
    fields["texts"][1]["mood"] = "good"
    assert unpack_call(orjson.dumps(fields), body) == ("encode_texts", ["a", Prompted("b", "p")], 1.0, None, False)


def test_a_call_of_a_large_request_says_so_and_one_of_an_older_version_is_of_a_small_one() -> None:
    head, body = pack_call("encode_texts", (["a"], 1.0, None, True))
    assert unpack_call(head, body) == ("encode_texts", ["a"], 1.0, None, True)
    fields = orjson.loads(head)
    del fields["large"]
    assert unpack_call(orjson.dumps(fields), body)[-1] is False


def test_a_field_that_is_missing_is_named_with_the_versions() -> None:
    earlier = STATUS.fields() | {"version": 0}
    del earlier["info"], earlier["replica"]
    with pytest.raises(Unavailable) as raised:
        EncoderStatus.from_fields(earlier)
    assert raised.value.message == (
        f"EncoderStatus of version 0 lacks replica, info; version {VERSION} needs it. "
        "Two versions of the service are running: try again."
    )
    assert raised.value.retry_after == 1


def test_a_field_that_has_a_default_may_be_missing() -> None:
    earlier = STATUS.fields()
    del earlier["batches"], earlier["preprocessing"]
    assert EncoderStatus.from_fields(earlier) == EncoderStatus("r1", None, "no weights", items=3)


@pytest.mark.parametrize("missing", ["method", "timeout_s", "texts"])
def test_a_call_that_lacks_a_field_says_so(missing: str) -> None:
    fields = orjson.loads(pack_call("encode_texts", (["a"], 1.0, None))[0])
    del fields[missing]
    with pytest.raises(Unavailable, match=f"^A call of version {VERSION} lacks {missing}"):
        unpack_call(orjson.dumps(fields), b"")


@pytest.mark.parametrize("missing", ["errors", "fingerprint", "batches"])
def test_a_reply_that_lacks_a_field_says_so(missing: str) -> None:
    fields = orjson.loads(pack_reply(REPLY)[0])
    del fields[missing]
    with pytest.raises(Unavailable, match=f"^EncodeReply of version {VERSION} lacks {missing}"):
        unpack_reply(orjson.dumps(fields), b"")


def test_a_reply_has_what_an_ingress_of_any_build_of_version_1_needs() -> None:
    times = {"prepare_ms", "queue_ms", "inference_ms", "took_ms"}
    needed = {"packed", "errors", "fingerprint", "replica", "batches"} | times
    assert VERSION == 1
    head, _ = pack_reply(REPLY)
    assert needed - {"packed"} <= orjson.loads(head).keys()
    assert needed <= REPLY.fields().keys()


def test_a_reply_comes_whole_and_its_errors_by_their_codes() -> None:
    head, body = pack_reply(REPLY)
    assert body is REPLY.packed
    assert plain(encoded(head, body)) == plain(REPLY)


def test_an_error_that_is_not_of_the_service_is_told_by_a_constant_text() -> None:
    reply = EncodeReply(b"", {0: RuntimeError("/a/path")}, "f", "r", 0, 0, 0, 1)  # type: ignore[dict-item]
    [error] = encoded(*pack_reply(reply)).errors.values()
    assert (type(error), error.message) == (InternalError, "A deployment failed unexpectedly.")


INFO = ModelInfo(
    *("some-model", "f" * 64, 384, 512, ("text", "image"), "openvino", "bf16"),
    prompts={"query": "query: "}, normalized=True, pooling=("mean",), labels=("a", "b"), routes={"query": "q"},
    cut="start",
)  # fmt: skip
CLIP = Preprocessing.read({"resample": 2})
NAFLEX = Preprocessing.read({"image_processor_type": "Siglip2ImageProcessor", "max_num_patches": 9})


@pytest.mark.parametrize("pixels", [None, CLIP, NAFLEX])
@pytest.mark.parametrize("info", [None, INFO])
def test_a_status_comes_as_it_was(info: ModelInfo | None, pixels: Preprocessing | None) -> None:
    assert unpack_call(*pack_call("status", ())) == ("status",)
    mine = replace(STATUS, info=info, preprocessing=pixels)
    theirs = unpack_reply(*pack_reply(mine))
    assert isinstance(theirs, EncoderStatus)
    assert replace(theirs, preprocessing=None) == replace(mine, preprocessing=None)
    assert type(theirs.preprocessing) is type(pixels)
    if pixels is not None and theirs.preprocessing is not None:
        np.testing.assert_array_equal(theirs.preprocessing.levels, pixels.levels)
        assert asdict(theirs.preprocessing) | {"levels": None} == asdict(pixels) | {"levels": None}
        assert theirs.preprocessing.fit(Image.new("RGB", (70, 40), "red")) == pixels.fit(
            Image.new("RGB", (70, 40), "red")
        )


def test_what_a_newer_version_says_of_a_model_is_left_out_and_of_its_pixels_is_an_error() -> None:
    head, body = pack_reply(replace(STATUS, info=INFO, preprocessing=CLIP))
    fields = orjson.loads(head)
    fields["info"]["mood"] = "good"
    status = unpack_reply(orjson.dumps(fields), body)
    assert isinstance(status, EncoderStatus)
    assert status.info == INFO
    fields["preprocessing"][1]["sharpen"] = 2
    with pytest.raises(TypeError, match="sharpen"):
        unpack_reply(orjson.dumps(fields), body)


def test_images_come_as_they_were() -> None:
    crops = [b"", bytes(range(256)) * 3, b"x"]
    head, body = pack_call("encode_images", (crops, 2.5, [("00-trace", 2), ("", 1)]))
    assert body == b"".join(crops)
    assert unpack_call(head, body) == ("encode_images", crops, 2.5, [("00-trace", 2), ("", 1)], False)


texts = (
    st.text()
    | st.builds(
        Prompted,
        st.text(),
        st.none() | st.text(max_size=5),
        st.sampled_from(["end", "start"]),
        st.none() | st.text(max_size=5),
    )
    | st.builds(Pair, st.text(), st.text(), st.sampled_from(["end", "start"]))
    | st.builds(TokenIds, st.lists(st.integers(0, 2**31)).map(tuple))
)


@given(items=st.lists(texts), origins=st.none() | st.lists(st.tuples(st.text(), st.integers(1, 9)), min_size=1))
def test_texts_of_each_kind_come_as_they_were(items: list[TextInput], origins: Any) -> None:
    assert unpack_call(*pack_call("encode_texts", (items, 1.0, origins))) == (
        "encode_texts",
        items,
        1.0,
        origins,
        False,
    )


def test_what_is_no_unicode_is_not_packed() -> None:
    with pytest.raises(TypeError):
        pack_call("encode_texts", (["\ud800"], 1.0, None))
