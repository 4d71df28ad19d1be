"""The load driver's share of the CPUs: switched for as long as asked."""

import subprocess
import sys
from pathlib import Path

import pytest

from loadtests import autogroup
from loadtests.running import ROOT, wait_for


@pytest.mark.parametrize("before", ["1", "0"])
def test_it_is_off_meanwhile_and_then_as_before(before: str, tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.write_text(f"{before}\n")
    with autogroup.off(switch):
        assert switch.read_text().strip() == "0"
    assert switch.read_text().strip() == before


def test_a_failed_run_leaves_it_as_it_was(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.write_text("1")
    with pytest.raises(ValueError, match="broken"), autogroup.off(switch):
        raise ValueError("broken")
    assert switch.read_text().strip() == "1"


def test_a_killed_run_leaves_it_as_it_was(tmp_path: Path) -> None:
    switch = tmp_path / "switch"
    switch.write_text("1")
    code = f"""
import pathlib, time
from loadtests import autogroup
with autogroup.off(pathlib.Path({str(switch)!r})):
    print("off", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "off\n"
        assert switch.read_text() == "0"
        driver.kill()
    wait_for(lambda: switch.read_text().strip() == "1", what="the switch as it was")


def test_who_may_not_is_told_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    switch = tmp_path / "switch"
    switch.write_text("1")

    def refused(self: Path, text: str) -> int:
        raise PermissionError(f"{self}: {text}")

    monkeypatch.setattr(Path, "write_text", refused)
    with autogroup.off(switch):
        assert switch.read_text() == "1"
    assert "is 1 and can't be changed" in capsys.readouterr().err


def test_a_kernel_without_it_is_left_alone(tmp_path: Path) -> None:
    with autogroup.off(tmp_path / "none"):
        assert not (tmp_path / "none").exists()
