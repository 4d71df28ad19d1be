import hashlib
import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from app.config.args import ModelArgs
from app.config.model_names import SHORT_NAMES
from app.encoders import hub, weights
from app.encoders.weights import look_up, pull, resolve
from app.errors import ModelUnavailable
from loadtests.kept_port import kept_port

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


def write_model(directory: Path, content: bytes = b"weights", name: str = "model.safetensors") -> str:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text("{}")
    (directory / name).write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def write_snapshot(
    cache: Path, model_id: str, content: bytes, ref: str = "main", name: str = "model.safetensors"
) -> str:
    """A model as huggingface_hub lays it out: blobs, snapshots of links, refs."""
    root = cache / f"models--{model_id.replace('/', '--')}"
    commit = hashlib.sha1(f"{model_id}{ref}".encode(), usedforsecurity=False).hexdigest()
    snapshot, blobs = root / "snapshots" / commit, root / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir(exist_ok=True)
    sha = hashlib.sha256(content).hexdigest()
    (blobs / sha).write_bytes(content)
    (snapshot / name).symlink_to(blobs / sha)
    (snapshot / "config.json").write_text("{}")
    (root / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (root / "refs" / ref).write_text(commit)
    return commit


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package that ships MiniLM."""
    folder = tmp_path / "site" / "shipped_model"
    sha = write_model(folder / "model", b"packaged")
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(folder.parent))
    monkeypatch.setitem(weights.PACKAGED, MINILM, ("shipped_model", sha))
    yield folder / "model"
    sys.modules.pop("shipped_model", None)


@pytest.mark.usefixtures("empty_hub_cache")
def test_the_real_package_holds_the_published_weights() -> None:
    found = resolve("all-MiniLM-L6-v2", offline=True)
    assert (found.id, found.source, found.revision) == (MINILM, "package", None)
    assert found.sha256 == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert (found.directory / "tokenizer.json").is_file()


def test_order_is_directory_then_cache_then_package(
    tmp_path: Path, empty_hub_cache: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(MINILM, offline=True).directory == package
    commit = write_snapshot(empty_hub_cache, MINILM, b"cached")
    found = resolve(MINILM, offline=True)
    assert (found.source, found.revision) == ("cache", commit)
    assert found.sha256 == hashlib.sha256(b"cached").hexdigest()
    sha = write_model(tmp_path / MINILM, b"local")
    found = resolve(MINILM, offline=True)
    assert (found.source, found.sha256) == ("directory", sha)


def test_a_package_with_other_weights_is_refused(empty_hub_cache: Path, package: Path) -> None:
    (package / "model.safetensors").write_bytes(b"tampered")
    with pytest.raises(ModelUnavailable, match=r"does not hold the published weights .* Reinstall") as caught:
        resolve(MINILM, offline=True)
    assert hashlib.sha256(b"tampered").hexdigest() in str(caught.value)


def test_a_pinned_revision_is_never_taken_from_a_package(empty_hub_cache: Path, package: Path) -> None:
    with pytest.raises(ModelUnavailable):
        resolve(MINILM, revision="0" * 40, offline=True)


def test_a_pinned_revision_is_found_in_the_cache(empty_hub_cache: Path) -> None:
    write_snapshot(empty_hub_cache, "a/b", b"main")
    commit = write_snapshot(empty_hub_cache, "a/b", b"tagged", ref="v1")
    assert resolve("a/b", revision="v1", offline=True).revision == commit
    assert resolve("a/b", revision=commit, offline=True).sha256 == hashlib.sha256(b"tagged").hexdigest()


@pytest.mark.parametrize("short", list(SHORT_NAMES))
def test_short_names_mean_the_published_models(empty_hub_cache: Path, short: str) -> None:
    id_ = SHORT_NAMES[short]
    assert id_.endswith(f"/{short}")
    write_snapshot(empty_hub_cache, id_, b"cached")
    assert resolve(short, offline=True).id == id_


def test_bin_weights_only_when_allowed(empty_hub_cache: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "m", b"pickle", "pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match=r"has no model\.safetensors"):
        resolve(str(tmp_path / "m"))
    sha = write_model(tmp_path / "m", b"pickle", "pytorch_model.bin")
    assert resolve(str(tmp_path / "m"), allow_bin_weights=True).sha256 == sha
    safe = write_model(tmp_path / "m", b"safe")
    assert resolve(str(tmp_path / "m"), allow_bin_weights=True).sha256 == safe


def test_the_conversion_revision_stands_in_for_a_main_branch_without_safetensors(empty_hub_cache: Path) -> None:
    id_ = "openai/clip-vit-base-patch32"
    write_snapshot(empty_hub_cache, id_, b"pickle", name="pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match=r"a snapshot without model\.safetensors"):
        resolve(id_, offline=True)
    assert resolve(id_, offline=True, allow_bin_weights=True).sha256 == hashlib.sha256(b"pickle").hexdigest()
    commit = write_snapshot(empty_hub_cache, id_, b"converted", ref=hub.CONVERSIONS[id_])
    assert resolve(id_, offline=True).revision == commit
    assert resolve(id_, offline=True, allow_bin_weights=True).revision == commit


def test_sharded_weights_and_modules_count_into_the_hash(tmp_path: Path) -> None:
    write_model(tmp_path, b"1", "model-00001-of-00002.safetensors")
    one = resolve(str(tmp_path)).sha256
    write_model(tmp_path, b"2", "model-00002-of-00002.safetensors")
    two = resolve(str(tmp_path)).sha256
    modules = [{"type": "Transformer", "path": ""}, {"type": "Dense", "path": "2_Dense"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    write_model(tmp_path / "2_Dense", b"3")
    three = resolve(str(tmp_path)).sha256
    assert len({one, two, three}) == 3


def test_offline_never_asks_and_says_so(empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "download", lambda *args, **kwargs: pytest.fail("asked the hub"))
    with pytest.raises(ModelUnavailable) as caught:
        resolve("all-mpnet-base-v2", offline=True)
    message = str(caught.value)
    assert "the service is offline" in message
    assert "python -m app pull all-mpnet-base-v2" in message
    for tried in ("a local directory", "the hub cache", "the hub"):
        assert tried in message


@pytest.mark.parametrize("id_", ["../etc", "./nothing", "no such name", "a/b/c", "shapes"])
def test_what_is_no_hub_id_is_never_sent_to_the_hub(
    empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch, id_: str
) -> None:
    monkeypatch.setattr(hub, "download", lambda *args, **kwargs: pytest.fail("asked the hub"))
    with pytest.raises(ModelUnavailable, match="No weights for model"):
        resolve(id_)


def test_a_refused_connection_fails_at_once_and_is_named(
    empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with kept_port() as port:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
        with pytest.raises(ModelUnavailable, match=r"the hub can't be reached \(ConnectError"):
            resolve("all-mpnet-base-v2")
        with pytest.raises(ModelUnavailable, match="was not fetched: the hub can't be reached"):
            pull("all-mpnet-base-v2")


def test_a_hub_that_never_answers_costs_a_few_seconds(empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "LOOKUP_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        start = time.monotonic()
        with pytest.raises(ModelUnavailable, match="hub"):
            resolve("all-mpnet-base-v2")
        assert time.monotonic() - start < 3


def test_a_look_up_that_hangs_before_the_connection_is_given_up() -> None:
    with pytest.raises(hub.HubError, match="did not answer"):
        hub._within(0.05, lambda: time.sleep(1))  # noqa: SLF001


def test_a_download_takes_the_conversion_where_main_has_no_safetensors(
    empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = "openai/clip-vit-base-patch32"
    files = {None: ["config.json", "pytorch_model.bin"], hub.CONVERSIONS[id_]: ["config.json", "model.safetensors"]}

    def model_info(self: object, repo: str, *, revision: str | None, timeout: float) -> SimpleNamespace:
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in files[revision]])

    fetched: list[str] = []

    def snapshot_download(repo: str, *, revision: str, cache_dir: Path, **kwargs: object) -> str:
        if kwargs.get("local_files_only"):
            raise FileNotFoundError
        fetched.append(revision)
        commit = write_snapshot(cache_dir, repo, b"converted", ref=revision)
        return str(cache_dir / f"models--{repo.replace('/', '--')}" / "snapshots" / commit)

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    found = resolve("clip-vit-base-patch32")
    assert (found.source, fetched) == ("hub", [hub.CONVERSIONS[id_]])
    files[None].append("model.safetensors")
    fetched.clear()
    pull(id_)
    assert fetched == ["main"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (["config.json", "pytorch_model.bin"], "no safetensors weights"),
        (["model.safetensors", "tokenizer.json"], "no config.json"),
        (["config.json", "README.md"], "no safetensors weights"),
        (["config.json", "model.safetensors"], None),
        (["modules.json", "0_StaticEmbedding/model.safetensors"], None),
    ],
)
def test_the_hub_is_asked_for_configuration_and_weights(
    empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch, files: list[str], why: str | None
) -> None:
    info = SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in files])
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: info)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("downloads"))
    args = ModelArgs(id="makers/model")
    if why is None:
        assert look_up(args, False, lambda *_: pytest.fail("nothing is here"))
        return
    with pytest.raises(ModelUnavailable, match=f"the hub: the repository has {why}"):
        look_up(args, False, lambda *_: None)
    with pytest.raises(ModelUnavailable, match=f"the repository has {why}"):
        pull("makers/model")


def test_a_missing_bundled_model_is_named(empty_hub_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "BUNDLED", {"not-there"})
    with pytest.raises(ModelUnavailable, match="missing from the installation"):
        resolve("not-there", offline=True)
