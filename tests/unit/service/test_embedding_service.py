import asyncio
import logging
from collections.abc import Callable

import pytest

from app.errors import (
    DeadlineExceeded,
    InvalidItem,
    InvalidRequest,
    ModelNotFound,
    ModelUnavailable,
    Overloaded,
    PayloadTooLarge,
)
from app.service.batch import Item, Outcome, embed_mixed
from app.service.embedding_service import EmbeddingService
from app.service.encoder import ModelState
from app.service.request_context import RequestContext, use
from app.service.result import EmbeddingResult
from app.types import InputType, ReadOptions
from tests.support.aio import in_time, turns
from tests.support.service_fakes import MODEL, FakeCache, FakeEncoder, entry_of, info_of, service_of


def lengths(result: EmbeddingResult) -> list[float]:
    rows, _, _ = result.table()
    return [row[0] for row in rows.tolist()]


async def start(
    service: EmbeddingService, texts: list[str], model: str | None = None, tenant: str = ""
) -> "asyncio.Task[EmbeddingResult]":
    with use(RequestContext(tenant)):
        task = asyncio.get_running_loop().create_task(service.embed_texts(texts, model))
    await turns()
    return task


async def test_hits_and_misses_come_back_in_the_callers_order() -> None:
    encoder, cache = FakeEncoder(), FakeCache()
    service = service_of(encoder, cache=cache)
    first = await service.embed_texts(["22", "4444"])
    assert (lengths(first), first.hits, first.stages.inference_ms) == ([2, 4], [False, False], 1.5)
    second = await service.embed_texts(["1", "4444", "333", "22"])
    assert (lengths(second), second.hits) == ([1, 4, 3, 2], [False, True, False, True])
    third = await service.embed_texts(["333", "1"])
    assert (lengths(third), third.hits, third.stages.batches) == ([3, 1], [True, True], 0)
    assert encoder.calls == [["22", "4444"], ["1", "333"]]
    assert cache.puts == [("first", 2), ("first", 2)]


async def test_the_table_tells_tokens_and_what_was_cut() -> None:
    result = await service_of(FakeEncoder()).embed_texts(["a b", "a b c d e f g h i", "a"])
    rows, tokens, truncated = result.table()
    assert rows.tolist() == [[3, 4, 0], [17, 4, 0], [1, 4, 0]]
    assert (tokens, truncated) == ([2, 8, 1], [1])


async def test_equal_texts_are_encoded_once() -> None:
    encoder = FakeEncoder()
    result = await service_of(encoder).embed_texts(["aa", "b", "aa", "aa", "b"])
    assert (lengths(result), result.hits) == ([2, 1, 2, 2, 1], [False] * 5)
    assert encoder.calls == [["aa", "b"]]


async def test_a_miss_under_way_is_joined_across_requests() -> None:
    encoder = FakeEncoder()
    encoder.held = True
    service = service_of(encoder)
    tasks = [await start(service, texts) for texts in (["a", "bb"], ["bb", "ccc"], ["ccc", "a"])]
    assert encoder.calls == [["a", "bb"], ["ccc"]]
    encoder.answer()
    assert [lengths(await task) for task in tasks] == [[1, 2], [2, 3], [3, 1]]
    encoder.held = False
    assert (await service.embed_texts(["a"])).hits == [True]


async def test_models_and_tenants_share_nothing() -> None:
    one, other = FakeEncoder("one"), FakeEncoder("other")
    service = service_of(one, other)
    for model, tenant in (("one", ""), ("other", ""), ("one", "me"), ("one", "")):
        with use(RequestContext(tenant)):
            await service.embed_texts(["a"], model)
    assert (len(one.calls), len(other.calls)) == (2, 1)


async def test_a_failed_item_is_its_own_outcome_and_is_not_cached() -> None:
    encoder, cache = FakeEncoder(), FakeCache()
    encoder.faults["bad"] = InvalidItem("no good")
    service = service_of(encoder, cache=cache)
    result = await service.embed_texts(["a", "bad", "ccc"])
    first, error, last = result.entries
    assert (first, last) == (entry_of("a"), entry_of("ccc"))
    assert isinstance(error, InvalidItem)
    assert (error.message, error.param) == ("no good", "texts.1")
    assert cache.puts == [("first", 2)]
    with pytest.raises(InvalidItem, match="no good"):
        result.table()
    del encoder.faults["bad"]
    assert lengths(await service.embed_texts(["bad"])) == [3]


@pytest.mark.parametrize("fault", [ConnectionError("secret"), asyncio.CancelledError()])
async def test_an_encoder_that_breaks_is_unavailable_and_asked_again(
    fault: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = FakeEncoder()
    encoder.faults = {"a": fault, "bb": fault}
    service = service_of(encoder)
    result = await service.embed_texts(["a", "bb", "ccc"])
    assert [str(entry) for entry in result.entries[:2]] == ["The model could not be reached."] * 2
    assert isinstance(result.entries[0], ModelUnavailable)
    assert result.entries[2] == entry_of("ccc")
    encoder.faults = {}
    assert lengths(await service.embed_texts(["a", "bb"])) == [1, 2]
    assert {record.message for record in caplog.records} == {"the encoder failed"}
    if isinstance(fault, ConnectionError):
        [record] = caplog.records  # one failure of a whole call, told once
        assert record.exc_info is not None
        assert record.exc_info[1] is fault


async def test_an_encoder_that_raises_or_forgets_does_not_hang_its_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FakeEncoder()
    service = service_of(encoder)
    ways: list[Callable[[list[str]], object]] = [lambda texts: 1 / 0, lambda texts: []]
    for broken in ways:
        monkeypatch.setattr(encoder, "encode_texts", broken)
        result = await service.embed_texts(["a", "bb"])
        assert [type(entry) for entry in result.entries] == [ModelUnavailable, ModelUnavailable]
    monkeypatch.undo()
    assert lengths(await service.embed_texts(["a"])) == [1]


async def test_what_comes_back_is_put_under_the_epoch_of_its_look_up() -> None:
    encoder, cache = FakeEncoder(), FakeCache()
    encoder.held = True
    service = service_of(encoder, cache=cache)
    task = await start(service, ["a"])
    cache.epoch = "second"
    encoder.answer()
    await task
    assert (cache.puts, cache.entries) == ([("first", 1)], {})


def test_full_and_short_names() -> None:
    plain, owned, both = FakeEncoder("model"), FakeEncoder("owner/model"), FakeEncoder("x/clip/", ("text", "image"))
    service = service_of(owned, plain, both)
    assert service.encoder("owner/model", "text") is owned
    assert service.encoder("model", "text") is plain  # a full name goes before a short one
    assert service.encoder("clip", "image") is both
    assert service.encoder(None, "text") is owned
    assert service.default_model("text") == "owner/model"
    assert service.default_model("image") is None
    for name, kind in (("nobody/model", "text"), ("owner/model", "image"), (None, "image")):
        with pytest.raises(ModelNotFound) as refused:
            service.encoder(name, kind)  # type: ignore[arg-type]
        assert refused.value.param == "model"
        assert "x/clip/" in refused.value.message


async def test_a_model_that_is_not_ready_says_why() -> None:
    encoder = FakeEncoder()
    service = service_of(encoder)
    states = {
        ModelState(MODEL, "loading"): (f"{MODEL} is still loading. Try again in a moment.", 2),
        ModelState(MODEL, "unavailable", None, "no weights"): (f"{MODEL} is unavailable: no weights", 30),
    }
    for encoder.state, (message, retry_after) in states.items():
        with pytest.raises(ModelUnavailable) as refused:
            await service.embed_texts(["a"])
        assert (refused.value.message, refused.value.retry_after) == (message, retry_after)
    encoder.state = ModelState(MODEL, "unavailable", info_of(), "gone")
    with pytest.raises(ModelUnavailable):
        await service.embed_texts(["a"])
    assert encoder.calls == []


async def test_the_deadline_passes_and_the_work_is_given_up() -> None:
    encoder, cache = FakeEncoder(), FakeCache()
    encoder.held = True
    service = service_of(encoder, cache=cache, deadline_s=0.01)
    with pytest.raises(DeadlineExceeded, match=r"did not answer within 0\.01 s"):
        (await service.embed_texts(["a", "bb"])).table()
    encoder.answer()
    await turns()
    assert (encoder.trims, cache.entries, len(service.flights)) == (1, {}, 0)
    encoder.held = False
    assert lengths(await service.embed_texts(["bb"])) == [2]


async def test_what_is_done_at_the_deadline_is_kept_and_the_next_request_goes_on_from_there() -> None:
    encoder, cache = FakeEncoder(), FakeCache()
    encoder.held = True
    service = service_of(encoder, cache=cache, deadline_s=0.05)
    request = await start(service, ["a", "bb", "ccc", "dddd", "eeeee"])
    for count in (2, 1):
        encoder.answer_some(count)
        await turns()
    assert (cache.puts, len(service.flights)) == ([("first", 2), ("first", 1)], 2)
    result = await request
    assert [isinstance(entry, bytes) for entry in result.entries] == [True] * 3 + [False] * 2
    with pytest.raises(DeadlineExceeded) as late:
        result.table()
    assert late.value.message == (
        "The model did 3 of 5 items within 0.05 s. They are cached: send the same request again to go on from "
        "there, or at most 3 new items at once."
    )
    assert (late.value.max_items, late.value.retry_after) == (3, 1)
    assert (len(service.flights), encoder.trims) == (0, 1)
    again = await start(service, ["a", "bb", "ccc", "dddd", "eeeee"])
    assert encoder.calls[1:] == [["dddd", "eeeee"]]
    encoder.answer()
    assert lengths(await again) == [1, 2, 3, 4, 5]


async def test_cancelled_request_cancels_its_items(caplog: pytest.LogCaptureFixture) -> None:
    encoder, cache, tasks = FakeEncoder(), FakeCache(), len(asyncio.all_tasks())
    encoder.held = True
    service = service_of(encoder, cache=cache)
    gone, stays = await start(service, ["a", "bb", "a"]), await start(service, ["bb", "ccc"])
    gone.cancel()
    await turns()
    assert (gone.cancelled(), len(service.flights), encoder.trims) == (True, 2, 1)
    # Asked for again, it is encoded anew: the old outcome is not waited for.
    again = await start(service, ["a"])
    assert encoder.calls == [["a", "bb"], ["ccc"], ["a"]]
    encoder.answer()
    assert (lengths(await stays), lengths(await again)) == ([2, 3], [1])
    await turns()
    assert (len(service.flights), len(cache.entries)) == (0, 3)
    assert len(asyncio.all_tasks()) == tasks
    assert caplog.records == []


async def test_what_the_encoder_refuses_is_refused_at_once_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FakeEncoder()
    encoder.held = True
    service = service_of(encoder)
    stays = await start(service, ["a"])

    def refuse(texts: list[str]) -> object:
        raise Overloaded("full", retry_after=3)

    with monkeypatch.context() as patched:
        patched.setattr(encoder, "encode_texts", refuse)
        with pytest.raises(Overloaded):
            await service.embed_texts(["a", "bb", "bb"])
    assert (len(service.flights), encoder.trims) == (1, 0)
    later = await start(service, ["bb"])
    encoder.answer()
    assert (lengths(await stays), lengths(await later), len(service.flights)) == ([1], [2], 0)


async def test_an_overload_refuses_what_is_new_and_nothing_else() -> None:
    encoder = FakeEncoder()
    service = service_of(encoder)
    await service.embed_texts(["known"])
    encoder.held, encoder.overload = True, None
    under_way = asyncio.ensure_future(service.embed_texts(["under way"]))
    await turns()
    encoder.overload = Overloaded("full", retry_after=3)
    with pytest.raises(Overloaded):
        await in_time(service.embed_texts(["known", "under way", "new"]))
    assert len(service.flights) == 1
    assert (await service.embed_texts(["known"])).hits == [True]
    joins = asyncio.ensure_future(service.embed_texts(["under way", "known"]))
    await turns()
    encoder.answer()
    assert [len((await each).entries) for each in (under_way, joins)] == [1, 2]
    assert encoder.calls == [["known"], ["under way"]]


def test_a_request_is_refused_unseen_only_where_every_model_would() -> None:
    one, other = FakeEncoder("makers/one"), FakeEncoder("makers/other", ("text", "image"))
    service = service_of(one, other)
    assert service.refusal("text") is None
    one.overload = Overloaded("full", retry_after=7)
    assert (service.refusal("text"), service.refusal("image")) == (None, None)
    other.overload = Overloaded("nearly free", retry_after=2)
    assert (service.refusal("text"), service.refusal("image")) == (other.overload, other.overload)
    assert service_of().refusal("image") is None


async def test_what_was_done_before_the_caller_left_is_kept() -> None:
    encoder, cache, tasks = FakeEncoder(), FakeCache(), len(asyncio.all_tasks())
    encoder.held = True
    service = service_of(encoder, cache=cache)
    gone = await start(service, ["a", "bb"])
    encoder.answer_some(1)
    gone.cancel()
    await turns()
    assert list(cache.entries.values()) == [entry_of("a")]
    assert (len(service.flights), len(asyncio.all_tasks())) == (0, tasks)


async def test_cancelled_request_keeps_items_that_others_wait_for() -> None:
    encoder = FakeEncoder()
    encoder.held = True
    service = service_of(encoder)
    gone, stays = await start(service, ["a"]), await start(service, ["a"])
    gone.cancel()
    await turns()
    encoder.answer()
    assert lengths(await stays) == [1]
    assert encoder.calls == [["a"]]


async def test_limits_are_told_with_the_field() -> None:
    encoder = FakeEncoder()
    service = service_of(encoder, texts=3, text_bytes=8)
    with pytest.raises(PayloadTooLarge, match="4 texts; at most 3") as refused:
        await service.embed_texts(["a"] * 4)
    assert refused.value.param == "texts"
    for text, size in (("123456789", 9), ("äöüß!", 9), ("😀😀.", 9)):
        with pytest.raises(PayloadTooLarge, match=f"`texts.1` has {size} bytes; at most 8 ") as refused:
            await service.embed_texts(["a", text])
        assert refused.value.param == "texts.1"
    assert encoder.calls == []
    assert lengths(await service.embed_texts(["12345678", "äöüß", "😀😀"])) == [8, 4, 2]


async def test_logging_is_quiet_when_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await service_of(FakeEncoder()).embed_texts(["a"])
    assert [record for record in caplog.records if record.name.startswith("app")] == []


async def test_a_mixed_batch_is_one_request_to_its_model_whatever_its_batch_size() -> None:
    encoder, other = FakeEncoder(), FakeEncoder("other/model")
    service = service_of(encoder, other, text_bytes=8)
    await service.embed_texts(["bb"])
    texts = ["a", "bb", "ccc", "much too long", "dddd"]
    items = [Item("text", text, None) for text in texts] + [Item("text", "x", "other/model")]
    outcomes, batches = await embed_mixed(service, items, 2)
    assert (encoder.calls, other.calls, batches) == ([["bb"], ["a", "ccc", "dddd"]], [["x"]], 3)
    wrong = outcomes[3]
    assert isinstance(wrong, PayloadTooLarge)
    assert (wrong.message, wrong.param) == ("`items.3` has 13 bytes; at most 8 per text.", "items.3")
    assert [outcome.cached for outcome in outcomes if isinstance(outcome, Outcome)] == [False, True] + [False] * 3


async def test_a_mixed_batch_is_cut_only_where_a_request_could_not_have_more() -> None:
    encoder = FakeEncoder()
    service = service_of(encoder, texts=3)
    outcomes, batches = await embed_mixed(service, [Item("text", text * 2, None) for text in "abcdefg"], 100)
    assert ([len(call) for call in encoder.calls], batches, len(outcomes)) == ([3, 3, 1], 1, 7)


async def test_a_task_with_a_way_of_its_own_is_told_and_kept_apart() -> None:
    encoder = FakeEncoder()
    encoder.state = ModelState(MODEL, "ready", info_of(routes={"query": "of queries"}))
    service = service_of(encoder)
    tasks: tuple[InputType | None, ...] = (None, "document", "query", "query")
    found = [await service.embed_texts(["a"], reading=ReadOptions(input_type=task)) for task in tasks]
    assert [lengths(one) for one in found] == [[1], [1], [6], [6]]
    assert [one.hits for one in found] == [[False], [True], [False], [True]]
    assert encoder.calls == [["a"], ["querya"]]
    with pytest.raises(InvalidRequest, match="different ways; send texts"):
        await service.embed_ids([[1, 2]])
    assert len(encoder.calls) == 2


async def test_a_replica_of_an_older_build_has_no_routes() -> None:
    encoder, info = FakeEncoder(), info_of()
    object.__delattr__(info, "routes")
    encoder.state = ModelState(MODEL, "ready", info)
    assert lengths(await service_of(encoder).embed_texts(["a"], reading=ReadOptions(input_type="query"))) == [1]
    assert lengths(await service_of(encoder).embed_ids([[1, 2]])) == [3]
