from pathlib import Path

import pytest

from app.config.args import Backup, ModelArgs
from app.errors import ModelUnavailable
from deployments.encoder_replica import load_with_backup, without_paths


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
