from pathlib import Path
from types import SimpleNamespace

import pytest

from app.__main__ import main
from app.auth.api_keys import parse
from app.cli import key as key_command
from app.config.args import AccessArgs
from app.config.settings import AppArgs, LaunchSettings
from app.local.launcher import access_notice
from tests.support.keys import NOW, line


def shown(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """The key and its line."""
    words = [text.strip() for text in capsys.readouterr().out.splitlines() if text.startswith("  ")]
    secret, line = words
    return secret, line


def test_the_key_that_is_printed_is_the_one_of_the_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_command, "time", SimpleNamespace(time=lambda: NOW))
    assert main(["key", "--tenant", "acme", "--scopes", "embed,admin", "--days", "30"]) == 0
    secret, text = shown(capsys)
    assert secret not in text
    ring = parse([text], NOW)
    key = ring.admit(secret.encode(), "embed", 0)
    assert (key.tenant, sorted(key.scopes)) == ("acme", ["admin", "embed"])
    assert key.expires == NOW + 30 * 24 * 60 * 60
    assert [ring.live(key.expires + s) for s in (-1, 0)] == [1, 0]
    assert main(["key", "--tenant", "acme"]) == 0
    secret, text = shown(capsys)
    assert parse([text], NOW).admit(secret.encode(), "embed", 0).expires is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--tenant", "a b"], "a tenant must be"),
        (["--tenant", "a", "--scopes", "write"], "scopes must be"),
        (["--tenant", "a", "--days", "0"], "--days"),
        (["--tenant", "a", "--days", "nan"], "--days"),
        (["--tenant", "a", "--days", "1e300"], "--days"),
    ],
)
def test_invalid_tenant_scopes_and_days(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", *arguments]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""


def test_the_launcher_says_who_gets_in_and_opens_to_nobody_unasked() -> None:
    keyed = AppArgs(access=AccessArgs(keys=(line("s"),)))
    assert "auth: required" in access_notice(keyed, LaunchSettings(host="0.0.0.0"))  # noqa: S104
    for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"):
        assert "auth: off" in access_notice(AppArgs(), LaunchSettings(host=host))
    for host in ("0.0.0.0", "::", "192.0.2.1", "box", "127.0.0.1.example"):  # noqa: S104
        with pytest.raises(ValueError, match=r"ALLOW_ANONYMOUS=1"):
            access_notice(AppArgs(), LaunchSettings(host=host))
        assert "ANYBODY" in access_notice(AppArgs(), LaunchSettings(host=host, allow_anonymous=True))


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"HOST": "0.0.0.0"}, "no API keys are set"),  # noqa: S104
        ({"AUTH": "required"}, "no API key that has not expired"),
        ({"API_KEYS_FILE": "/nowhere/keys"}, "can't be read"),
        ({"AUTH": "maybe"}, "auth"),
    ],
)
def test_nothing_starts_that_would_be_open_or_shut_by_mistake(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main(["--config", str(Path(__file__).parents[3] / "serve_config.yaml"), "serve"]) == 2
    assert words in capsys.readouterr().err.lower().replace("api key ", "API key ").replace("api keys", "API keys")
