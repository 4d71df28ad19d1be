import re
from pathlib import Path

import pytest

from app.config.settings import AppArgs

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "serve_config.yaml"


def test_the_args_of_the_one_application(config: Path) -> None:
    config.write_text("applications:\n  - name: x\n    args:\n      text_models: [a/b]\n      cache: {ttl_ms: 5}\n")
    args = AppArgs.from_file(config)
    assert (args.text_models[0].id, args.cache.ttl_ms, args.cache.max_size) == ("a/b", 5, 10_000)


@pytest.mark.parametrize(
    "text", ["applications: [{name: x}]", "applications: [{args: }]", "applications: [{args: {}}]"]
)
def test_no_args_are_the_defaults(config: Path, text: str) -> None:
    config.write_text(text)
    assert AppArgs.from_file(config) == AppArgs()


@pytest.mark.parametrize(
    "text", ["", "[]", "5", "words", "applications:", "applications: []", "applications: [5]", "app: []"]
)
def test_what_is_no_serve_config_is_named(config: Path, text: str) -> None:
    config.write_text(text)
    with pytest.raises(ValueError, match=f"^{re.escape(str(config))} is not a Serve config file"):
        AppArgs.from_file(config)


def test_broken_yaml_is_named_with_its_place(config: Path) -> None:
    config.write_text("applications: [\n")
    with pytest.raises(ValueError, match=rf"^{re.escape(str(config))} is not valid YAML: (.|\n)*line 2"):
        AppArgs.from_file(config)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\nb: 3\n", "expected ',' or ']', but got ':' in line 2"),
        ("a: [\n", "expected a value, but found the end of the file in line 2"),
        ("a: 1\n  b: 2\n", "mapping values are not allowed here in line 2"),
        ("a:\n  b: 1\n c: 2\n", "wrong indentation in line 3"),
        ("- a\nb: 1\n", "wrong indentation in line 2"),
        ("a: [1]]\n", "unexpected ']' in line 1"),
        ("a: 'x\n", "found the end of the file in line 2"),
        ("a:\n\tb: 1\n", "found character '\\t' that cannot start any token in line 2"),
    ],
)
def test_broken_yaml_is_told_in_plain_words(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(ValueError, match="not valid YAML") as error:
        AppArgs.from_file(config)
    assert str(error.value) == f"{config} is not valid YAML: {said}"


def test_unknown_and_wrong_args_are_named(config: Path) -> None:
    config.write_text("applications:\n  - args:\n      cache:\n        ttl: 5\n      limits: {texts: none}\n")
    with pytest.raises(ValueError, match="not a setting") as error:
        AppArgs.from_file(config)
    assert str(error.value).splitlines() == [
        f"{config}, line 4: `cache.ttl` is not a setting. Did you mean `ttl_ms`?",
        f"{config}, line 5: `limits.texts` must be a whole number, not 'none'",
    ]


NUMBER = "`autoscaling: {min_replicas: N, max_replicas: N}`"


@pytest.mark.parametrize(
    ("given", "place", "ours"),
    [
        ("text_models: {id: m, autoscaling_config: {}}", "text_models.0", "`autoscaling`"),
        ("image_models: [{id: m, num_replicas: 2}]", "image_models.0", NUMBER),
        ("encoder: {upscale_smoothing_factor: 2}", "encoder", "`autoscaling: {upscaling_factor: …}`"),
        ("ingress: {max_concurrent_queries: 2}", "ingress", "`max_ongoing_requests`"),
        # Ours, in another place.
        ("similarity: {initial_replicas: 2}", "similarity", "`autoscaling: {initial_replicas: …}`"),
        ("similarity: {autoscaling: {max_surge_percent: 2}}", "similarity.autoscaling", "`max_surge_percent`"),
        ("max_ongoing_requests: 2", "", "`max_ongoing_requests`"),
    ],
)  # fmt: skip
def test_serves_names_are_refused_in_a_line_with_ours_and_the_place(
    config: Path, given: str, place: str, ours: str
) -> None:
    config.write_text(f"applications: [{{args: {{{given}}}}}]")
    with pytest.raises(ValueError, match="Serve's") as error:
        AppArgs.from_file(config)
    found = re.fullmatch(
        r"(.*): (.*?)\.?(\w+): Serve's `(\w+)` is (.+) here, of a model, .*`similarity`", str(error.value)
    )
    assert found is not None
    assert (found[1], found[2], found[4], found[5]) == (str(config), place, found[3], ours)


def test_several_of_serves_names_are_one_line(config: Path) -> None:
    config.write_text("applications: [{args: {deployments: [], ingress: {user_config: {}}, cach: {}}}]")
    with pytest.raises(ValueError, match="Serve's") as error:
        AppArgs.from_file(config)
    assert str(error.value).split(": ", 1)[1].split("; ") == [
        f"{place}: Serve's `{place.split('.')[-1]}` stands beside `args`, an option of a deployment in `deployments`"
        for place in ("ingress.user_config", "deployments")
    ]


def test_what_users_name_themselves_is_not_looked_at(config: Path) -> None:
    names = "text_models: {id: m, prompts: {num_replicas: x}, resources: {num_cpus: 1}}, model_aliases: {policy: m}"
    config.write_text(f"applications: [{{args: {{{names}}}}}]")
    assert AppArgs.from_file(config).text_models[0].prompts == {"num_replicas": "x"}


def test_yaml_makes_no_objects(config: Path) -> None:
    config.write_text("applications: !!python/object/apply:os.getcwd []")
    with pytest.raises(ValueError, match="is not valid YAML"):
        AppArgs.from_file(config)


def test_a_missing_file_is_an_os_error(config: Path) -> None:
    with pytest.raises(FileNotFoundError):
        AppArgs.from_file(config)


def test_the_file_we_ship_is_valid() -> None:
    assert AppArgs.from_file(ROOT / "serve_config.yaml").text_models == AppArgs().text_models
