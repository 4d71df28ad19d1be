"""`python -m app pull`, with a hub that gives nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.__main__ import main
from app.encoders import hub
from app.encoders.weights import resolve
from loadtests.kept_port import kept_port

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(autouse=True)
def _no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that refuses connections, and a cache of one's own without any model."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    with kept_port() as port:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
        yield


def told(capsys: pytest.CaptureFixture[str], *command: str) -> tuple[int, list[str], str]:
    """The exit code, lines for the user and the error."""
    code = main(["pull", *command])
    said = capsys.readouterr()
    return code, said.out.splitlines(), said.err


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", MINILM])
def test_pull_offline_finds_what_is_here_and_says_why_it_looked(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, [why, where, *about], error = told(capsys, name)
    assert (code, error) == (0, "")
    assert why.startswith(f"Model {MINILM!r} was not fetched: the hub can't be reached (ConnectError")
    assert why.endswith("The files are here already (package).")
    folder = Path(where.removeprefix(f"{MINILM} is at "))
    assert (folder / "model.safetensors").stat().st_size > 10**6
    assert about[-1].split() == ["complete", "yes"]


def test_pull_offline_of_a_directory(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").symlink_to(resolve(MINILM, offline=True).directory)
    code, lines, error = told(capsys, "./mine")
    assert (code, error, lines[1]) == (0, "", "./mine is at mine")
    assert lines[0].endswith("The files are here already (directory).")


@pytest.mark.parametrize("command", [("all-mpnet-base-v2",), (MINILM, "--revision", "v1"), ("a/b/c",), ("../nothing",)])
def test_pull_offline_of_what_is_nowhere_is_an_error(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    code, lines, error = told(capsys, *command)
    assert (code, lines) == (2, [])
    assert "was not fetched: the hub can't be reached" in error
    assert "Traceback" not in error


def test_pull_where_the_service_is_offline_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    code, _, error = told(capsys, "all-mpnet-base-v2")
    assert code == 2
    assert "OfflineModeIsEnabled" in error


def test_a_model_that_the_hub_refuses_is_not_called_unreachable(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gated(*_: object, **__: object) -> Path:
        raise hub.HubError("the repository is gated: accept its terms and set HF_TOKEN")

    monkeypatch.setattr(hub, "download", gated)
    code, lines, _ = told(capsys, MINILM)
    assert code == 0
    assert "is gated" in lines[0]
    assert "reached" not in lines[0]
