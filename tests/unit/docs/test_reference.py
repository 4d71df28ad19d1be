"""What the reference says of settings, errors, limits and the rest is what the code does."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.config.args import DEFAULT_IMAGE_MODEL, DEFAULT_TEXT_MODEL, Limits
from app.config.settings import AppArgs, ClientSettings, LaunchSettings
from docs import explanations, generate

ROOT = Path(__file__).parents[3]
REFERENCE = ROOT / "docs/reference"
SETTINGS_PAGE = (REFERENCE / "settings.md").read_text("utf-8")
SETTINGS = "".join((ROOT / f"app/config/{name}.py").read_text("utf-8") for name in ("settings", "args"))
# The launcher's word to its child, and variables of Ray and of the libraries that find models.
NOT_THE_OWNERS = {"EMBEDDING_RUN_FOLDER", "EMBEDDING_STEPS", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "NO_PROXY"}
# CONVERTED_MODELS is the image's: the Dockerfile sets it.
NOT_THE_OWNERS |= {"CONVERTED_MODELS", "XDG_CACHE_HOME", "RAY_USE_TLS"}
# OpenTelemetry's own, of which the table has the one that turns traces on.
OTEL = {"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER_ARG"}

# A value of each variable, and where it arrives.
ARRIVES: dict[str, tuple[str, str, Any]] = {
    "PORT": ("4000", "launch.port", 4000),
    "HOST": ("::1", "launch.host", "::1"),
    "ALLOW_ANONYMOUS": ("1", "launch.allow_anonymous", True),
    "LOG_FORMAT": ("json", "launch.log_format", "json"),
    "TEXT_MODEL": ("a/b", "args.text_models.0.id", "a/b"),
    "IMAGE_MODEL": ("a/c", "args.image_models.0.id", "a/c"),
    "RERANK_MODEL": ("a/d", "args.rerank_models.0.id", "a/d"),
    "SPARSE_MODEL": ("a/f", "args.sparse_models.0.id", "a/f"),
    "TOKEN_MODEL": ("a/g", "args.token_models.0.id", "a/g"),
    "TEXT_MODEL_FALLBACK": ("a/d", "args.text_fallback", "a/d"),
    "IMAGE_MODEL_FALLBACK": ("a/e", "args.image_fallback", "a/e"),
    "IMAGE_FOLDER": ("/pictures", "args.image_folder", "/pictures"),
    "IMAGE_URL_HOSTS": ("a.example, b.example", "args.image_urls.hosts", ("a.example", "b.example")),
    "API_KEYS_FILE": ("/keys", "args.access.keys_file", "/keys"),
    "AUTH": ("required", "args.auth", "required"),
    "CORS_ORIGINS": ("https://a.example", "args.cors_origins", ("https://a.example",)),
    "EMBEDDING_URL": ("http://a.example", "client.url", "http://a.example"),
    "EMBEDDING_API_KEY": ("k", "client.api_key", "k"),
    "MODEL_ALIASES": ("x=y", "args.model_aliases", {"x": "y"}),
    "CACHE_MAX_SIZE": ("7", "args.cache.max_size", 7),
    "CACHE_TTL": ("8", "args.cache.ttl_ms", 8),
    "BATCH_SIZE": ("9", "args.text_models.0.batch_size", 9),
    "MAX_WORKERS": ("3", "args.text_models.0.workers", 3),
    "SERVE_BYPASS": ("off", "args.serve_bypass", "off"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("http://c:4318", "args.tracing.endpoint", "http://c:4318"),
}
DEFAULTS = {
    "PORT": "3000", "HOST": "127.0.0.1", "TEXT_MODEL": DEFAULT_TEXT_MODEL, "IMAGE_MODEL": DEFAULT_IMAGE_MODEL,
    "ALLOW_ANONYMOUS": "0", "CACHE_MAX_SIZE": "10000", "CACHE_TTL": "3600000", "BATCH_SIZE": "32", "MAX_WORKERS": "2",
    "LOG_FORMAT": "text", "SERVE_BYPASS": "auto",
}  # fmt: skip


def rows() -> Iterator[list[str]]:
    """Cells of the table of variables."""
    table = SETTINGS_PAGE.partition("| variable |")[2].partition("\n\n")[0]
    for line in table.splitlines()[2:]:
        yield [cell.strip() for cell in line.strip("|").split(" | ")]


def variables() -> set[str]:
    """As the table has them; `HOST` stands in the row of `PORT`."""
    named = {name for row in rows() for name in re.findall(r"`([A-Z_]+)`", row[0])}
    return named | {"HOST"}


def at(path: str, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    whole = {
        "args": AppArgs().with_environment(environ),
        "launch": LaunchSettings.from_environment(),
        "client": ClientSettings.from_environment(),
    }
    found: Any = whole
    for part in path.split("."):
        if found == ():  # no such model by default
            return None
        found = found[int(part)] if part.isdigit() else found[part] if isinstance(found, dict) else getattr(found, part)
    return found


def test_every_variable_that_is_read_is_in_the_table_and_no_other() -> None:
    read = set(re.findall(r'"([A-Z][A-Z_]{3,})"', SETTINGS)) - NOT_THE_OWNERS - OTEL
    assert variables() == read == ARRIVES.keys()


def test_every_variable_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ARRIVES:
        monkeypatch.delenv(name, raising=False)
    for name, (value, path, expected) in ARRIVES.items():
        with monkeypatch.context() as only:
            assert at(path, {}, only) != expected, name
            assert at(path, {name: value}, only) == expected, name


def test_the_defaults_are_those_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ARRIVES:
        monkeypatch.delenv(name, raising=False)
    for name, default in DEFAULTS.items():
        path = ARRIVES[name][1]
        assert str(at(path, {}, monkeypatch)) == {"0": "False"}.get(default, default), name
    shown = {row[0].strip("`"): row[1].strip("`") for row in rows()}
    assert {name: shown[name] for name in DEFAULTS if name in shown} == {
        name: default for name, default in DEFAULTS.items() if name != "HOST"
    }
    assert "`HOST` (default `127.0.0.1`)" in SETTINGS_PAGE


@pytest.mark.parametrize("page", generate.pages(), ids=lambda page: page.name)
def test_generated_parts_are_current(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text == generate.written(text), "run `python -m docs.generate`"


def test_every_part_is_on_a_page() -> None:
    shown = [name for page in generate.pages() for _, name, _ in generate.PART.findall(page.read_text("utf-8"))]
    assert sorted(shown) == sorted(generate.PARTS)


def test_every_error_is_explained_and_no_other() -> None:
    codes = {kind.code for kind in generate.kinds() if kind.__module__ == "embeddings_client.errors"}
    assert explanations.ERRORS.keys() == {code for code in codes if code.islower()}


def test_every_setting_is_described_once() -> None:
    bare = {
        name
        for _, model in generate.SECTIONS
        for name, field in model.model_fields.items()
        if not field.description and name not in generate.HIDDEN
    }
    assert explanations.MEANINGS.keys() == bare


def test_the_limits_are_those_of_the_code() -> None:
    limits = Limits()
    page = (REFERENCE / "limits.md").read_text("utf-8")
    line, images = page.partition("## By default\n")[2].strip().splitlines()[:2]
    assert f"{limits.texts:,} texts and {limits.text_body >> 20} MB a request" in line
    assert f"{limits.text_bytes >> 10} KiB a text" in line
    numbers = limits.vector_elements // 1_000_000
    assert f"{numbers} million numbers and {limits.vector_body >> 20} MB a `/similarity` request" in line
    assert f"{limits.deadline_s:g} s for a model's answer" in line
    assert f"{limits.images} images and {limits.image_body >> 20} MB a request" in images
    assert (
        f"{limits.image_bytes >> 20} MB an image, {limits.image_pixels // 1_000_000} million pixels an image" in images
    )
    assert f"{limits.request_pixels // 1_000_000} million pixels a request" in images
