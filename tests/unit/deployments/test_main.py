"""The builder, as Serve calls it. The imports of Ray warn, and warnings are errors here."""

import warnings
from typing import Any

import pytest

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
    for name in ("AUTH", "API_KEYS_FILE", "TEXT_MODEL", "IMAGE_MODEL", "TEXT_MODEL_FALLBACK", "IMAGE_MODEL_FALLBACK"):
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

    _, text, images, _ = build(args)._bound_deployment.init_args  # noqa: SLF001
    return [{name: of(encoder) for name, encoder in encoders.items()} for encoders in (text, images)]


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
    built = ingress.init_args[1]["m"]._bound_deployment  # noqa: SLF001
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
    assert built.init_args[1]["m"]._bound_deployment.init_args[1] == threads  # noqa: SLF001


def test_nothing_reads_yet_what_will_replace_metrics_interval_s() -> None:
    """Ray says that variables will. Where this fails they do, and are to be set (`serve_environment`, serve-flags)."""
    for name in ("REPLICA", "HANDLE"):
        variable = f"RAY_SERVE_{name}_AUTOSCALING_METRIC_PUSH_INTERVAL_S"
        assert hasattr(constants, variable)
        assert not any(hasattr(module, variable) for module in (replica, router))
