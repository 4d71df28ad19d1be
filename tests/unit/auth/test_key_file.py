import asyncio
import logging
import os
from pathlib import Path

import pytest

from app.auth import api_keys, key_file
from app.auth.key_file import KeyFile
from app.config.args import AccessArgs
from app.config.settings import AppArgs
from app.errors import Unauthorized

NOW = 1_800_000_000.0


def made(tenant: str, expires: float | None = None) -> tuple[bytes, str]:
    secret, key = api_keys.make(tenant, ["embed"], expires)
    return secret.encode(), key.line


def tenants(keys: KeyFile, *secrets: bytes) -> list[str | None]:
    found: list[str | None] = []
    for secret in secrets:
        try:
            found.append(keys.ring.admit(secret, "embed", keys.clock()).tenant)
        except Unauthorized:
            found.append(None)
    return found


def test_keys_of_the_settings_and_of_the_file_and_a_rotation(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    (fixed, fixed_line), (old, old_line), (new, new_line) = made("fixed"), made("a"), made("a")
    file.write_text(old_line)
    keys = KeyFile([fixed_line], file, lambda: NOW)
    assert tenants(keys, fixed, old, new) == ["fixed", "a", None]
    assert not keys.reload()
    file.write_text(f"{old_line}\n{new_line}\n")
    assert keys.reload()
    assert tenants(keys, fixed, old, new) == ["fixed", "a", "a"]
    file.write_text(new_line)
    assert keys.reload()
    assert tenants(keys, fixed, old, new) == ["fixed", None, "a"]
    file.write_text("")  # all are withdrawn
    assert keys.reload()
    assert tenants(keys, fixed, old, new) == ["fixed", None, None]


def test_reload_compares_content_not_mtime(tmp_path: Path) -> None:
    (one, first), (two, second) = made("a"), made("b")
    file = tmp_path / "keys"
    file.write_text(first)
    os.utime(file, (1, 1))
    keys = KeyFile([], file, lambda: NOW)
    file.write_text(second)
    os.utime(file, (1, 1))
    assert keys.reload()
    assert tenants(keys, one, two) == [None, "b"]


def test_a_secret_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    """`keys` leads through `..data` to a folder that is swapped as a whole."""
    (one, first), (two, second) = made("a"), made("b")
    for name, text in (("v1", first), ("v2", second)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "keys").write_text(text)
    (tmp_path / "..data").symlink_to("v1")
    (tmp_path / "keys").symlink_to("..data/keys")
    keys = KeyFile([], tmp_path / "keys", lambda: NOW)
    assert tenants(keys, one, two) == ["a", None]
    (tmp_path / "..new").symlink_to("v2")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert keys.reload()
    assert tenants(keys, one, two) == [None, "b"]


def test_what_cannot_be_used_changes_nothing_and_its_content_is_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secret, line = made("a")
    file = tmp_path / "keys"
    file.write_text(line)
    keys = KeyFile([], file, lambda: NOW)
    for content in (f"{line}\nacme embed {secret.decode()}".encode(), b"\xff", b"#" * (key_file.MAX_BYTES + 1)):
        file.write_bytes(content)
        assert not keys.reload()
        assert tenants(keys, secret) == ["a"]
    file.unlink()
    assert not keys.reload()
    assert tenants(keys, secret) == ["a"]
    assert len(caplog.records) == 4
    assert "line 2" in caplog.text
    assert secret.decode() not in caplog.text


async def test_the_file_is_watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (one, first), (two, second) = made("a"), made("b")
    file = tmp_path / "keys"
    file.write_text(first)
    keys = KeyFile([], file, lambda: NOW)

    caplog.set_level(logging.INFO)
    task = asyncio.create_task(keys.watch(0.001))
    file.write_text(second)
    async with asyncio.timeout(10):
        while tenants(keys, two) == [None]:  # noqa: ASYNC110 - a thread reads the file
            await asyncio.sleep(0.001)
    task.cancel()
    assert tenants(keys, one, two) == [None, "b"]
    assert "1 live now" in caplog.text


def test_required_needs_a_key_that_is_live(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# none yet")
    for wrong in (
        {"auth": "required"},
        {"auth": "required", "access": {"keys": [made("a", expires=1.0)[1]]}},
        {"access": {"keys_file": str(file)}},
        {"access": {"keys_file": str(tmp_path / "missing")}},
        {"access": {"keys": ["acme embed secret"]}},
    ):
        with pytest.raises(ValueError, match="API key"):
            key_file.check(AppArgs.model_validate(wrong))
    for right in ({}, {"auth": False}, {"auth": "off", "access": {"keys_file": str(file)}}):
        key_file.check(AppArgs.model_validate(right))
    args = AppArgs(access=AccessArgs(keys=(made("a")[1],)))
    key_file.check(args)
    assert (args.asks_for_keys, AppArgs().asks_for_keys) == (True, False)
