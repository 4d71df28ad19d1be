"""The builder, as Serve calls it. The imports of Ray warn, and warnings are errors here."""

import warnings
from typing import Any

import pytest

from app.config.args import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, SHAPES_CLIP, AccessArgs, ModelArgs
from app.config.settings import AppArgs
from tests.support.keys import line

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from app.main import build

# Serve's own warning about a setting that it still reads.
pytestmark = pytest.mark.filterwarnings("ignore:The `metrics_interval_s`:DeprecationWarning")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AUTH",
        "API_KEYS_FILE",
        "TEXT_MODEL",
        "IMAGE_MODEL",
        "RERANK_MODEL",
        "TEXT_MODEL_FALLBACK",
        "IMAGE_MODEL_FALLBACK",
    ):
        monkeypatch.delenv(name, raising=False)


def test_nothing_is_built_that_asks_for_keys_and_has_none() -> None:
    with pytest.raises(ValueError, match="no API key"):
        build(AppArgs(auth="required"))
    keys = AccessArgs(keys=(line("s"),))
    assert build(AppArgs(auth="required", access=keys)) is not None
    assert build(AppArgs()) is not None


def test_the_environment_can_ask_for_keys_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTH", "required")
    with pytest.raises(ValueError, match="no API key"):
        build(AppArgs())


def test_two_paths_that_show_as_one_name_are_refused() -> None:
    models = tuple(ModelArgs(id=f"/{folder}/mini") for folder in ("a", "b"))
    with pytest.raises(ValueError, match="same name: mini, mini"):
        build(AppArgs(text_models=models, image_models=()))


def backups(args: AppArgs) -> list[dict[str, Any]]:
    """Of each encoder's deployment, text models first: its backup's id, name and note."""

    def of(encoder: Any) -> Any:
        backup = encoder._bound_deployment.init_args[3]  # noqa: SLF001
        return backup and (backup.model.id, backup.model.batch_size, backup.note)

    _, encoders, _ = build(args)._bound_deployment.init_args  # noqa: SLF001
    return [{name: of(encoder) for name, encoder in encoders[kind].items()} for kind in ("text", "image")]


def test_models_have_no_backup_that_nobody_chose() -> None:
    assert backups(AppArgs()) == [{DEFAULT_TEXT_MODEL: None}, {DEFAULT_IMAGE_MODEL: None}]


def test_fallbacks_of_the_environment_go_to_the_encoders_of_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("TEXT_MODEL", "all-mpnet-base-v2,makers/other"),
        ("TEXT_MODEL_FALLBACK", "makers/other"),
        ("IMAGE_MODEL_FALLBACK", "/srv/secret/clip/"),
        ("BATCH_SIZE", "7"),
    ):
        monkeypatch.setenv(name, value)
    text = ("makers/other", 7, "the backup makers/other serves in its place")
    # It has the options of the model that it stands for, and no path is told.
    image = ("/srv/secret/clip/", 7, "the backup clip serves in its place")
    assert backups(AppArgs(shapes_clip_may_serve=True)) == [
        {"sentence-transformers/all-mpnet-base-v2": text, "makers/other": None},
        {DEFAULT_IMAGE_MODEL: image},
    ]


def test_shapes_clip_stands_in_where_the_launcher_says_so_and_only_for_the_default() -> None:
    [_, images] = backups(AppArgs(shapes_clip_may_serve=True))
    [(id_, _, note)] = images.values()
    assert (id_, note.split(",")[0]) == (SHAPES_CLIP, "shapes-clip")
    other = AppArgs(shapes_clip_may_serve=True, image_models=(ModelArgs(id="makers/clip"),))
    assert backups(other)[1] == {"makers/clip": None}


def deployments(args: AppArgs) -> dict[str, list[str]]:
    _, encoders, _ = build(args)._bound_deployment.init_args  # noqa: SLF001
    return {
        kind: [encoder._bound_deployment.name for encoder in of.values()]  # noqa: SLF001
        for kind, of in encoders.items()
    }


def test_a_reranker_is_a_deployment_of_its_own_and_there_is_none_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    default = {"text": ["TextEncoder-all-MiniLM-L6-v2"], "image": ["Clip-clip-vit-base-patch32"], "rerank": []}
    assert deployments(AppArgs()) == default
    monkeypatch.setenv("RERANK_MODEL", "cross-encoder/ms-marco-MiniLM-L6-v2,makers/other reranker")
    named = ["Reranker-ms-marco-MiniLM-L6-v2", "Reranker-other-reranker"]
    assert deployments(AppArgs()) == default | {"rerank": named}
    two_of_a_name = AppArgs(text_models=(ModelArgs(id="makers/other reranker"),))
    with pytest.raises(ValueError, match="two models have the same name"):
        build(two_of_a_name)
