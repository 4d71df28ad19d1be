"""The builder, as Serve calls it. The imports of Ray warn, and warnings are errors here."""

import json
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config.args import (
    DEFAULT_IMAGE_MODEL,
    DEFAULT_TEXT_MODEL,
    SHAPES_CLIP,
    AccessArgs,
    Autoscaling,
    ModelArgs,
    Placement,
)
from app.config.settings import AppArgs
from app.encoders import hub
from loadtests.running import ROOT
from tests.support.keys import line

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from ray.serve._private import constants, replica, router
    from ray.serve.config import AutoscalingConfig
    from ray.serve.schema import DeploymentSchema, RayActorOptionsSchema, ServeApplicationSchema

    from app.main import build, options

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
        "SPARSE_MODEL",
        "TOKEN_MODEL",
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
    with pytest.raises(ValueError, match="same name: /a/mini, /b/mini"):
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


WHOLE = struct.pack("<Q", 2) + b"{}"  # a safetensors file of no tensor


def write(folder: Path, config: dict[str, Any] | None = None, weights: bytes | None = WHOLE, **files: Any) -> str:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config or {"model_type": "bert"}))
    if weights is not None:
        (folder / "model.safetensors").write_bytes(weights)
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return str(folder)


def required(id_: str, kind: str = "text", **more: Any) -> AppArgs:
    """The settings of a service whose one model is required."""
    models: dict[str, Any] = {"text_models": (), "image_models": ()}
    models[f"{kind}_models"] = (ModelArgs(id=id_, required=True),)
    return AppArgs(**models, **more)


@pytest.fixture
def _no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing one of them would fail: they cost the node that builds hundreds of megabytes."""
    for name in ("torch", "openvino", "transformers"):
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("_no_libraries")
@pytest.mark.parametrize(
    ("kind", "files", "why"),
    [
        ("text", {"weights": None}, "has no model.safetensors"),
        ("text", {"weights": WHOLE[:5]}, "model.safetensors can't be read"),
        ("text", {"weights": struct.pack("<Q", 99) + b"{}"}, "model.safetensors can't be read"),
        ("text", {"weights": b"version https://git-lfs.github.com/spec/v1"}, "git lfs pull"),
        ("text", {"config": {"model_type": "clip"}}, "configure it as an image model"),
        ("text", {"config": {"architectures": ["BertForSequenceClassification"]}}, "cross-encoder"),
        (
            "text",
            {"modules": [{"type": "sentence_transformers.models.CLIPModel", "path": ""}]},
            "starts with a CLIPModel module",
        ),
        ("image", {}, "its model_type is 'bert'"),
        ("image", {"config": {"model_type": "clip"}, "weights": None}, "has no model.safetensors"),
    ],
)
def test_nothing_is_built_without_a_required_model(tmp_path: Path, kind: str, files: dict[str, Any], why: str) -> None:
    id_ = write(tmp_path / "mini", **files)
    with pytest.raises(ValueError, match=r"^mini is required: ") as caught:
        build(required(id_, kind))
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    optional = ModelArgs(id=id_)
    assert build(AppArgs(**{"text_models": (), "image_models": (), f"{kind}_models": (optional,)})) is not None


@pytest.mark.usefixtures("_no_libraries")
def test_a_required_model_that_is_there_is_built_without_loading_it(tmp_path: Path) -> None:
    assert build(required(DEFAULT_TEXT_MODEL)) is not None
    assert build(required(SHAPES_CLIP, "image")) is not None
    clip, text = write(tmp_path / "clip", {"model_type": "clip"}), write(tmp_path / "text")
    assert build(required(clip, "image")) is not None
    assert build(required(text)) is not None


def test_a_required_model_of_the_hub_counts_if_the_hub_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "download", lambda *_, **__: pytest.fail("downloads"))
    asked: list[Any] = []

    def look_up(*question: Any) -> None:
        asked.append(question)
        if question[0] == "makers/gone":
            raise hub.HubError("the hub has no such public repository")

    monkeypatch.setattr(hub, "look_up", look_up)
    models = (ModelArgs(id="makers/there", required=True, revision="v1"), ModelArgs(id="makers/gone"))
    assert build(AppArgs(text_models=models, image_models=())) is not None
    assert asked == [("makers/there", "v1", False)]  # nothing of what is not required
    with pytest.raises(ValueError, match=r"makers/gone is required: .* the hub: the hub has no such public repository"):
        build(required("makers/gone"))
    with pytest.raises(ValueError, match=r"makers/there is required: .* the service is offline"):
        build(required("makers/there", offline=True))


def test_a_fallback_satisfies_what_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build(required("no/model", text_fallback=DEFAULT_TEXT_MODEL, offline=True)) is not None
    assert build(required("no/model", "image", image_fallback=SHAPES_CLIP, offline=True)) is not None
    with pytest.raises(ValueError, match=r"no/model is required: .* Its backup neither: .*'no/other'"):
        build(required("no/model", text_fallback="no/other", offline=True))


def test_neither_the_environment_nor_the_shipped_file_requires_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    [application] = yaml.safe_load((ROOT / "serve_config.yaml").read_text())["applications"]
    shipped = AppArgs.model_validate(application["args"])
    named = required(DEFAULT_TEXT_MODEL).with_environment({"TEXT_MODEL": "makers/other", "IMAGE_MODEL": "makers/clip"})
    for args in (AppArgs(), shipped, named):
        assert not any(model.required for model in (*args.text_models, *args.image_models))


def deployments(args: AppArgs) -> dict[str, list[str]]:
    _, encoders, _ = build(args)._bound_deployment.init_args  # noqa: SLF001
    return {
        kind: [encoder._bound_deployment.name for encoder in of.values()]  # noqa: SLF001
        for kind, of in encoders.items()
    }


def test_models_of_other_kinds_are_deployments_of_their_own_and_there_are_none_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    default = {"text": ["TextEncoder-all-MiniLM-L6-v2"], "image": ["Clip-clip-vit-base-patch32"]}
    default |= {"rerank": [], "sparse": [], "token": []}
    assert deployments(AppArgs()) == default
    monkeypatch.setenv("RERANK_MODEL", "cross-encoder/ms-marco-MiniLM-L6-v2,makers/other reranker")
    named = ["Reranker-ms-marco-MiniLM-L6-v2", "Reranker-other-reranker"]
    monkeypatch.setenv("SPARSE_MODEL", "naver/splade-v3")
    monkeypatch.setenv("TOKEN_MODEL", "all-mpnet-base-v2")
    others = {"sparse": ["SparseEncoder-splade-v3"], "token": ["TokenEncoder-all-mpnet-base-v2"]}
    assert deployments(AppArgs()) == default | {"rerank": named} | others
    two_of_a_name = AppArgs(text_models=(ModelArgs(id="makers/other reranker"),))
    with pytest.raises(ValueError, match="two models have the same name"):
        build(two_of_a_name)


def test_what_was_set_is_what_serve_gets() -> None:
    scaling = {
        "min_replicas": 2,
        "initial_replicas": 3,
        "max_replicas": 5,
        "upscaling_factor": 0.5,
        "downscaling_factor": 2,
    }
    given = {"max_surge_percent": 25, "max_replicas_per_node": 1, "max_queued_requests": 9}
    model = {"id": "m", "autoscaling": scaling | {"look_back_period_s": 4}, **given}
    ingress = build(AppArgs.model_validate({"text_models": [model]}))._bound_deployment  # noqa: SLF001
    built = ingress.init_args[1]["text"]["m"]._bound_deployment  # noqa: SLF001
    config = built._deployment_config  # noqa: SLF001
    found = config.autoscaling_config.model_dump(include={*scaling, "look_back_period_s"})
    assert found == scaling | {"look_back_period_s": 4}
    assert (config.max_surge_percent, config.max_queued_requests) == (25, 9)
    assert built._replica_config.max_replicas_per_node == 1  # noqa: SLF001
    # Unset: as Serve has it.
    assert (ingress._deployment_config.max_surge_percent, ingress._deployment_config.max_queued_requests) == (0, -1)  # noqa: SLF001
    assert ingress._replica_config.max_replicas_per_node is None  # noqa: SLF001
    assert "initial_replicas" not in options(Placement(autoscaling=Autoscaling(max_replicas=2)))["autoscaling_config"]


def test_every_field_of_serves_is_ours_or_refused_with_a_word_about_it() -> None:
    ours = {*Placement.model_fields, *Autoscaling.model_fields}
    theirs = {*DeploymentSchema.model_fields, *RayActorOptionsSchema.model_fields, *AutoscalingConfig.model_fields}
    of_application = ServeApplicationSchema.model_fields.keys() - {"name", "host", "port", "args"}
    for name in (theirs - {"name"}) | of_application:
        places = [{name: None}] if name in ours else [{name: None}, {"ingress": {name: None}}]
        for given in places:
            with pytest.raises(ValueError, match=rf"{name}: Serve's `{name}` "):
                AppArgs.model_validate(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"resources": {"CPU": 1}}, "^TextEncoder-m: Use the 'num_cpus'"),
        ({"resources": {"memory": 1}}, "^TextEncoder-m: The resources dictionary must not"),
        ({"resources": {"x": -1}}, "^TextEncoder-m: The quantity of resource x cannot be negative"),
        ({"num_cpus": 0.00001}, "^TextEncoder-m: The precision of the fractional quantity of resource num_cpus"),
    ],
)
def test_what_ray_refuses_names_the_deployment(given: dict[str, Any], said: str) -> None:
    args = AppArgs.model_validate({"text_models": [{"id": "m", **given}]})
    with pytest.raises(ValueError, match=said):
        build(args)


@pytest.mark.parametrize(("cpus", "given", "threads"), [(0.3, 0, 0), (1, 0, 1), (2.5, 0, 2), (4, 3, 3), (0.3, 5, 5)])
def test_threads_are_the_cpus_that_a_replica_reserves(cpus: float, given: int, threads: int) -> None:
    model = ModelArgs(id="m", num_cpus=cpus, inference_threads=given)
    built = build(AppArgs(text_models=(model,)))._bound_deployment  # noqa: SLF001
    assert built.init_args[1]["text"]["m"]._bound_deployment.init_args[1] == threads  # noqa: SLF001


def test_nothing_reads_yet_what_will_replace_metrics_interval_s() -> None:
    """Ray says that variables will. Where this fails they do, and are to be set (`serve_environment`, serve-flags)."""
    for name in ("REPLICA", "HANDLE"):
        variable = f"RAY_SERVE_{name}_AUTOSCALING_METRIC_PUSH_INTERVAL_S"
        assert hasattr(constants, variable)
        assert not any(hasattr(module, variable) for module in (replica, router))
