from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.config.args import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, ModelArgs
from app.config.settings import (
    AppArgs,
    LaunchSettings,
    converted_models,
    hub_cache,
    image_model_is_chosen,
    without_proxies,
)


def ids(models: tuple[ModelArgs, ...]) -> list[str]:
    return [model.id for model in models]


def refused(data: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as error:
        AppArgs.model_validate(data)
    return [(".".join(map(str, e["loc"])), e["type"]) for e in error.value.errors()]


def test_the_defaults_are_the_documented_ones() -> None:
    args = AppArgs().with_environment({})
    assert args == AppArgs()
    assert (ids(args.text_models), ids(args.image_models)) == ([DEFAULT_TEXT_MODEL], [DEFAULT_IMAGE_MODEL])
    assert (args.cache.max_size, args.cache.ttl_ms) == (10_000, 3_600_000)
    assert (args.limits.texts, args.limits.text_bytes, args.limits.deadline_s) == (2048, 65_536, 30)
    assert LaunchSettings().port == 3000


def test_the_owners_variables_keep_their_names_and_units() -> None:
    args = AppArgs().with_environment(
        {
            "TEXT_MODEL": "a/b",
            "IMAGE_MODEL": "c/d",
            "CACHE_MAX_SIZE": "12",
            "CACHE_TTL": "1500",  # milliseconds
            "BATCH_SIZE": "7",
            "MAX_WORKERS": "3",
        }
    )
    assert (ids(args.text_models), ids(args.image_models)) == (["a/b"], ["c/d"])
    assert (args.cache.max_size, args.cache.ttl_ms) == (12, 1500)
    for model in (*args.text_models, *args.image_models, args.encoder):
        assert (model.batch_size, model.workers) == (7, 3)


def test_the_environment_goes_before_the_file_and_leaves_the_rest() -> None:
    args = AppArgs.model_validate(
        {"text_models": ["file/model"], "image_models": [], "cache": {"max_size": 5, "ttl_ms": 9, "max_bytes": 4096}}
    )
    over = args.with_environment({"CACHE_TTL": "0", "PATH": "/bin", "BATCH_SIZE": "  "})
    assert over.cache == args.cache.model_copy(update={"ttl_ms": 0})
    assert over.text_models == args.text_models
    assert over.image_models == ()


def test_several_models_in_one_variable() -> None:
    args = AppArgs().with_environment({"TEXT_MODEL": " a/one , two,,/models/three "})
    assert ids(args.text_models) == ["a/one", "two", "/models/three"]


def test_a_model_of_the_file_keeps_its_options_and_others_get_the_common_ones() -> None:
    args = AppArgs.model_validate(
        {
            "text_models": [{"id": "a", "revision": "v1", "num_gpus": 1, "batch_size": 64}, "b"],
            "encoder": {"precision": "f32", "batch_size": 16},
        }
    )
    c, a = args.with_environment({"TEXT_MODEL": "c,a"}).text_models
    assert (a.id, a.revision, a.num_gpus, a.batch_size, a.precision) == ("a", "v1", 1, 64, "auto")
    assert (c.id, c.revision, c.num_gpus, c.batch_size, c.precision) == ("c", None, 0, 16, "f32")
    a, b = args.with_environment({"BATCH_SIZE": "8"}).text_models
    assert (a.batch_size, b.batch_size, a.revision) == (8, 8, "v1")


@pytest.mark.parametrize(
    ("in_file", "in_environment"),
    [
        ("all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2"),
        ("sentence-transformers/all-mpnet-base-v2", "all-mpnet-base-v2"),
        ("./models/foo", "models/foo"),
        ("models/foo", "./models/foo/"),
        ("/models/foo/", "/models/foo"),
    ],
)
def test_a_model_of_the_file_keeps_its_options_under_another_form_of_its_name(
    in_file: str, in_environment: str
) -> None:
    other = {"id": "other/foo", "batch_size": 8}
    file = {"text_models": [other, {"id": in_file, "batch_size": 64, "matryoshka": True}], "text_fallback": in_file}
    args = AppArgs.model_validate(file).with_environment({"TEXT_MODEL": in_environment})
    [model] = args.text_models
    assert (model.id, model.batch_size, model.matryoshka) == (in_file, 64, True)
    assert args.text_backup(ModelArgs(id=in_environment)) is None  # a model is no backup of itself


def test_models_may_be_one_id_many_or_mappings() -> None:
    for given in ("a/b", ["a/b"], {"id": "a/b"}, [{"id": "a/b"}]):
        assert AppArgs.model_validate({"text_models": given}).text_models == (ModelArgs(id="a/b"),)
    assert [ModelArgs(id=id_).short_name for id_ in ("a/b", "b", "/models/b/")] == ["b", "b", "b"]


def test_other_variables() -> None:
    names = {"TEXT_MODEL_FALLBACK": "x", "IMAGE_MODEL_FALLBACK": "y", "IMAGE_FOLDER": "/pictures"}
    args = AppArgs().with_environment(names)
    assert (args.text_fallback, args.image_fallback, args.image_folder) == ("x", "y", "/pictures")
    for value, offline in {"1": True, "TRUE": True, "on": True, "0": False, "": False, "no": False}.items():
        assert AppArgs().with_environment({"HF_HUB_OFFLINE": value}).offline is offline
    assert AppArgs(offline=True).with_environment({"HF_HUB_OFFLINE": "0"}).offline


def test_variables_of_access() -> None:
    env = {"AUTH": "required", "API_KEYS_FILE": "/run/keys", "CORS_ORIGINS": " https://a.example, ,https://b.example"}
    args = AppArgs.model_validate({"access": {"reload_s": 9}}).with_environment(env)
    assert (args.auth, args.access.keys_file, args.access.reload_s) == ("required", "/run/keys", 9)
    assert args.cors_origins == ("https://a.example", "https://b.example")
    assert AppArgs().with_environment({"API_KEYS_FILE": "/run/keys"}).asks_for_keys
    assert not AppArgs().with_environment({"API_KEYS_FILE": "/run/keys", "AUTH": "off"}).asks_for_keys


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("auto", "auto"),
        ("require", "require"),
        (False, "off"),  # YAML's bare `off`
        (["rpc"], ("rpc",)),
        ("rpc, middleware", ("rpc", "middleware")),
        ([], ()),
    ],
)
def test_what_may_go_past_serve(given: Any, value: Any) -> None:
    assert AppArgs().serve_bypass == "auto"
    assert AppArgs.model_validate({"serve_bypass": given}).serve_bypass == value
    if isinstance(given, str):
        assert AppArgs(serve_bypass="off").with_environment({"SERVE_BYPASS": given}).serve_bypass == value


def test_a_part_of_the_bypass_that_there_is_not_is_refused() -> None:
    assert any(where.startswith("serve_bypass") for where, _ in refused({"serve_bypass": "rpc,handles"}))
    assert any(where.startswith("serve_bypass") for where, _ in refused({"serve_bypass": True}))


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CACHE_MAX_SIZE", "77")
    assert AppArgs().with_environment().cache.max_size == 77


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"cach": {}}, "cach"),
        ({"cache": {"ttl": 5}}, "cache.ttl"),
        ({"limits": {"text": 5}}, "limits.text"),
        ({"text_models": [{"id": "a", "batchsize": 5}]}, "text_models.0.batchsize"),
        ({"ingress": {"autoscaling": {"max": 2}}}, "ingress.autoscaling.max"),
    ],
)
def test_unknown_fields_are_refused(data: dict[str, Any], where: str) -> None:
    assert refused(data) == [(where, "extra_forbidden")]


@pytest.mark.parametrize(
    ("data", "where"),
    [
        ({"cache": {"max_size": 0}}, "cache.max_size"),
        ({"cache": {"ttl_ms": -1}}, "cache.ttl_ms"),
        ({"text_models": [{"id": ""}]}, "text_models.0.id"),
        ({"text_models": [5]}, "text_models.0"),
        ({"limits": {"deadline_s": 0}}, "limits.deadline_s"),
        ({"encoder": {"backend": "onnx"}}, "encoder.backend"),
    ],
)
def test_wrong_values_are_refused_by_name(data: dict[str, Any], where: str) -> None:
    assert [name for name, _ in refused(data)] == [where]


def test_scaling_to_zero_is_refused_with_the_reason() -> None:
    with pytest.raises(ValidationError, match="must be at least 1: there is no scaling to zero, as every ingress asks"):
        AppArgs.model_validate({"text_models": [{"id": "m", "autoscaling": {"min_replicas": 0}}]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"min_replicas": 3}, r"min_replicas \(3\), max_replicas \(1\): none may be more than the next"),
        ({"min_replicas": 2, "initial_replicas": 1, "max_replicas": 4}, r"\(2\), initial_replicas \(1\), "),
        ({"initial_replicas": 5, "max_replicas": 4}, r"min_replicas \(1\), initial_replicas \(5\), max_replicas \(4\)"),
        ({"initial_replicas": 0}, "greater than 0"),
    ],
)  # fmt: skip
def test_numbers_of_replicas_that_serve_would_refuse(given: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        AppArgs.model_validate({"similarity": {"autoscaling": given}})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("max_surge_percent", value) for value in (-1, 101, 12.5)),
        *(("max_replicas_per_node", value) for value in (0, 101)),
        *(("max_queued_requests", value) for value in (0, -2)),
        *(("num_gpus", value) for value in (-1, 1.5)),
    ],
)
def test_values_that_serve_would_refuse(name: str, value: float) -> None:
    assert {where.split(".")[1] for where, _ in refused({"ingress": {name: value}})} == {name}
    assert AppArgs.model_validate({"ingress": {"num_gpus": 2, "max_queued_requests": -1, "max_surge_percent": 0}})


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("CACHE_TTL", "1h", ("cache", "ttl_ms")),
        ("CACHE_MAX_SIZE", "0", ("cache", "max_size")),
        ("BATCH_SIZE", "many", ("encoder", "batch_size")),
        ("MAX_WORKERS", "1.5", ("encoder", "workers")),
    ],
)
def test_wrong_variables_are_refused_with_what_was_given(name: str, value: str, where: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as error:
        AppArgs().with_environment({name: value})
    given = {e["loc"]: e["input"] for e in error.value.errors()}
    assert given[where] == value


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        AppArgs().cache.max_size = 5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:81"),
        ("0.0.0.0", "http://127.0.0.1:81"),  # noqa: S104 - never bound
        ("::", "http://127.0.0.1:81"),
        ("0:0:0:0:0:0:0:0", "http://127.0.0.1:81"),
        ("::1", "http://[::1]:81"),
        ("box", "http://box:81"),
    ],
)
def test_the_url_is_one_that_can_be_opened(host: str, url: str) -> None:
    assert LaunchSettings(host=host, port=81).url == url


@pytest.mark.parametrize(
    ("host", "listens_at", "is_loopback"),
    [
        ("[::]", "[::]:3000", False),
        ("[::1]", "[::1]:3000", True),
        (" 127.0.0.1 ", "127.0.0.1:3000", True),
        ("LOCALHOST", "localhost:3000", True),
        ("127.1", "127.0.0.1:3000", True),
        ("0", "0.0.0.0:3000", False),
        ("0:0:0:0:0:0:0:1", "[0:0:0:0:0:0:0:1]:3000", True),
    ],
)
def test_a_host_is_read_in_any_of_its_forms(
    host: str, listens_at: str, is_loopback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("HOST", host)
    settings = LaunchSettings.from_environment()
    assert (settings.listens_at, settings.is_loopback) == (listens_at, is_loopback)


@pytest.mark.parametrize("host", ["127.0.0.1 x", "http://127.0.0.1", "127.0.0.1,::1", "*", "fe80::1%lo"])
def test_what_is_no_host_is_refused(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST", host)
    with pytest.raises(ValidationError):
        LaunchSettings.from_environment()


def test_the_launcher_reads_port_and_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "81")
    monkeypatch.setenv("HOST", " ")
    assert LaunchSettings.from_environment() == LaunchSettings(port=81)
    monkeypatch.setenv("ALLOW_ANONYMOUS", "1")
    assert LaunchSettings.from_environment() == LaunchSettings(port=81, allow_anonymous=True)
    for port in ("0", "65536", "http"):
        monkeypatch.setenv("PORT", port)
        with pytest.raises(ValidationError) as error:
            LaunchSettings.from_environment()
        assert [(e["loc"], e["input"]) for e in error.value.errors()] == [(("port",), port)]


def test_whether_the_user_chose_an_image_model() -> None:
    chosen = [image_model_is_chosen(env) for env in ({}, {"IMAGE_MODEL": " "}, {"IMAGE_MODEL": "x"})]
    assert chosen == [False, False, True]


def test_folders_follow_the_variables_of_their_owners(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    assert hub_cache() == Path("/home/me/.cache/huggingface/hub")
    assert converted_models() == Path("/home/me/.cache/ray-embedding-service/converted")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert (hub_cache(), converted_models().parts[:2]) == (Path("/xdg/huggingface/hub"), ("/", "xdg"))
    monkeypatch.setenv("HF_HOME", "/hf")
    assert hub_cache() == Path("/hf/hub")
    monkeypatch.setenv("HF_HUB_CACHE", "~/hub")
    assert hub_cache() == Path("/home/me/hub")


def test_aliases_are_pairs() -> None:
    args = AppArgs().with_environment({"MODEL_ALIASES": " a = owner/b ,, text-embedding-3-small=c"})
    assert args.model_aliases == {"a": "owner/b", "text-embedding-3-small": "c"}
    with pytest.raises(ValidationError) as error:
        AppArgs().with_environment({"MODEL_ALIASES": "a"})
    assert error.value.errors()[0]["loc"] == ("model_aliases", "a")


def test_image_urls_are_off_until_hosts_are_named() -> None:
    assert AppArgs().image_urls.hosts == ()
    args = AppArgs().with_environment({"IMAGE_URL_HOSTS": "img.example.org, *.cdn.example.org,"})
    assert args.image_urls.hosts == ("img.example.org", "*.cdn.example.org")
    assert (args.image_urls.schemes, args.image_urls.ports) == (("https",), (443, 80))
    assert refused({"image_urls": {"schemes": ["file"]}})[0] == ("image_urls.schemes.0", "literal_error")


@pytest.mark.parametrize(
    ("env", "listed"),
    [
        ({}, "localhost,127.0.0.1,::1"),
        ({"http_proxy": "http://proxy:3128"}, "localhost,127.0.0.1,::1"),
        ({"NO_PROXY": "example.org, .corp"}, "example.org,.corp,localhost,127.0.0.1,::1"),
        ({"no_proxy": "a", "NO_PROXY": "b"}, "a,localhost,127.0.0.1,::1"),  # as urllib and httpx read the two
        ({"no_proxy": "", "NO_PROXY": "b"}, "b,localhost,127.0.0.1,::1"),
        ({"no_proxy": "127.0.0.1,,"}, "127.0.0.1,localhost,::1"),
        ({"NO_PROXY": "*"}, "*"),  # alone, or urllib, requests and curl don't take it for all hosts
        ({"no_proxy": " *,"}, "*"),
        ({"NO_PROXY": "http://wrong:1/"}, "http://wrong:1/,localhost,127.0.0.1,::1"),
    ],
)
def test_loopback_passes_every_proxy_and_what_was_listed_still_does(env: dict[str, str], listed: str) -> None:
    assert without_proxies(env) == {"no_proxy": listed, "NO_PROXY": listed, "grpc_proxy": ""}


@pytest.mark.parametrize(
    ("host", "where"),
    [("::", "[::]:3100"), ("::1", "[::1]:3100"), ("localhost", "localhost:3100"), ("0.0.0.0", "0.0.0.0:3100")],  # noqa: S104
)
def test_an_ipv6_address_stands_in_brackets(host: str, where: str) -> None:
    assert LaunchSettings(host=host, port=3100).listens_at == where
