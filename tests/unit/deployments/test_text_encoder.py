import warnings
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.cache.entry import split, unpack
from app.config.args import Backup, ModelArgs
from app.encoders.late import Window
from app.errors import InvalidItem, ModelUnavailable, NotFinite, without_paths
from app.telemetry.registry import Registry
from app.types import ModelInfo, Span, TextInput, TokenIds, TokenizedText, Vector

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments.text_encoder import TextEncoder, load_with_backup


@pytest.mark.parametrize(
    ("id_", "name"),
    [
        ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("mini", "mini"),
        ("models/mini/", "models/mini"),
        ("/srv/secret/models/mini/", "mini"),
        ("./mini", "mini"),
        ("../models/mini", "mini"),
        ("~/mini", "mini"),
        ("srv/models/mini", "mini"),
    ],
)
def test_a_path_shows_as_its_folders_name(id_: str, name: str) -> None:
    assert ModelArgs(id=id_).name == name


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ("No weights for model '/srv/m/mini'. Run `python -m app pull /srv/m/mini`.", None),
        ("No weights for model 'owner/name'. See https://hub.example/owner/name/tree.", "the same"),
        ("/srv/m/mini/config.json: no such file (in ~/m/mini, ./m/mini or ../m/mini).", None),
        ("7 tokens/s, and/or 3/4", "the same"),
    ],
)
def test_messages_lose_their_paths_and_nothing_else(words: str, shown: str | None) -> None:
    if shown:
        assert without_paths(words) == words
    else:
        assert "srv" not in without_paths(words)
        assert "/m" not in without_paths(words)
        assert "mini" in without_paths(words) or "config.json" in without_paths(words)


def test_reasons_and_notes_of_a_local_model_have_no_path(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    args = ModelArgs(id=str(tmp_path / "mini"))

    def load(wanted: ModelArgs) -> str:
        raise ModelUnavailable(f"The directory of model {wanted.id!r} has no *.safetensors.")

    backup = Backup(model=ModelArgs(id=str(tmp_path / "other")), note="the backup serves")
    for given in (None, backup):
        model, note, reason = load_with_backup(load, args, given)
        assert (model, note) == (None, None)
        assert reason is not None
        assert "mini" in reason
        assert "/" not in reason
    assert str(tmp_path) in caplog.text  # the operator is told


class FakeModel:
    """Makes (length, 1) of a text, the second negative in an exclusive run; refuses token ids."""

    streams = 1
    profiles: tuple[bool, ...] = (False,)
    info = ModelInfo("fake", "f" * 32, 2, 8, ("text",), "fake", "f32")
    lengths = (8,)

    def tokenize(self, texts: Sequence[str], prompt: str | None = None) -> list[TokenizedText]:
        return [TokenizedText([1] * len(text), False) for text in texts]

    def read(self, inputs: Sequence[TextInput]) -> list[TokenizedText | InvalidItem]:
        return [InvalidItem("no") if isinstance(one, TokenIds) else self.tokenize([str(one)])[0] for one in inputs]

    def run(self, batch: Sequence[Sequence[int]], *, exclusive: bool = False) -> Vector:
        return np.array([[len(ids), -1 if exclusive else 1] for ids in batch], np.float32)

    def warm(self, shapes: Sequence[tuple[int, int]]) -> None:
        pass

    def chunks(self, texts: Sequence[str], *rule: Any) -> list[list[Span]]:
        return [[(0, len(text))] for text in texts]

    def windows(self, text: str, spans: Sequence[Span], prompt: str | None) -> list[Window]:
        """One for each chunk, the last first."""
        return [Window([1] * 4, [span], [i]) for i, span in reversed([*enumerate(spans)])]

    def pool(self, window: Window) -> Vector:
        [(start, end)] = window.spans
        return np.array([[start, end if end < 9 else np.nan]], np.float32)


class Replica(TextEncoder):
    def _load(self, args: ModelArgs, threads: int, offline: bool) -> FakeModel:
        if args.id == "missing":
            raise ModelUnavailable("No weights.")
        return FakeModel()

    # Serve awaits the real one.
    def __del__(self) -> None:  # type: ignore[override]
        pass


@pytest.fixture
def _without_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "deployments.text_encoder"
    monkeypatch.setattr(f"{module}.replica_name", lambda: "r1")
    monkeypatch.setattr(f"{module}.reporter", lambda _: SimpleNamespace(registry=Registry()))
    check = "_BatchQueue._warn_if_max_batch_size_exceeds_max_ongoing_requests"
    monkeypatch.setattr(f"ray.serve.batching.{check}", lambda self: None)


@pytest.mark.usefixtures("_without_serve")
async def test_a_replica_answers_each_text_and_counts_what_it_ran() -> None:
    replica = Replica(ModelArgs(id="fake"), 1, True)
    reply = await replica.encode_texts(["abc", TokenIds((7,)), "de"], 10)
    rows = unpack(split(reply.packed, 3))[0].tolist()
    assert (rows[0], rows[2], list(reply.errors), reply.replica) == ([3, 1], [2, 1], [1], "r1")
    steps = [step async for step in replica.encode_text_alone("abcd")]
    assert steps[0] is None
    assert steps[1] is not None
    assert unpack([steps[1].packed])[0].tolist() == [[4, -1]]
    status = await replica.status()
    assert (status.info, status.reason, status.items, status.batches) == (FakeModel.info, None, 3, 1)
    await replica.check_health()


@pytest.mark.usefixtures("_without_serve")
async def test_a_replica_without_its_model_says_why_or_serves_the_backup() -> None:
    replica = Replica(ModelArgs(id="missing"), 1, True)
    for call in (replica.encode_texts(["a"], 1), replica.tokens(["a"], None, True)):
        with pytest.raises(ModelUnavailable, match=r"missing is unavailable: No weights\."):
            await call
    assert (await replica.status()).reason == "No weights."
    await replica.check_health()
    backup = Backup(model=ModelArgs(id="fake"), note="the backup serves")
    status = await Replica(ModelArgs(id="missing"), 1, True, backup).status()
    assert status.info is not None
    assert (status.info.note, status.reason) == ("missing is not available; the backup serves.", "No weights.")


@pytest.mark.usefixtures("_without_serve")
async def test_a_replica_does_not_start_without_a_required_model_unless_its_backup_loads() -> None:
    missing, backup = ModelArgs(id="missing", required=True), Backup(model=ModelArgs(id="fake"), note="n")
    for other in (None, Backup(model=ModelArgs(id="missing"), note="n")):
        with pytest.raises(ModelUnavailable, match=r"^missing is required: No weights\."):
            Replica(missing, 1, True, other)
    for args, other in ((ModelArgs(id="fake", required=True), None), (missing, backup)):
        assert (await Replica(args, 1, True, other).status()).info is not None


@pytest.mark.usefixtures("_without_serve")
async def test_a_replica_cuts_texts_and_pools_their_chunks() -> None:
    replica = Replica(ModelArgs(id="fake"), 1, True)
    assert await replica.chunks(["abc"], 4, 0, "tokens", None, 9) == [[(0, 3)]]
    reply = await replica.pool_spans("abcdefg", [(0, 2), (2, 7)], None)
    rows, tokens, truncated = unpack(split(reply.packed, 2))
    assert (rows.tolist(), tokens.tolist(), truncated.tolist()) == ([[0, 2], [2, 7]], [2, 5], [False, False])
    assert (reply.batches, reply.fingerprint, reply.replica, reply.errors) == (2, "f" * 32, "r1", {})
    with pytest.raises(NotFinite) as caught:
        await replica.pool_spans("abc", [(0, 2), (0, 9)], None)
    assert caught.value.param == "1"
