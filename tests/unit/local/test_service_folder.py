import os
import stat
from pathlib import Path

import pytest

from app.local import service_folder
from app.local.service_folder import LONGEST, ServiceFolder, log_folder, roots

TMP = Path("/tmp").resolve()  # noqa: S108 - where services of long TMPDIRs lie
NAME = f"embed-{os.getuid()}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A place of this test's own, whatever the length of its path."""
    monkeypatch.setattr(service_folder, "LONGEST", 200)
    monkeypatch.chdir(tmp_path)
    return {"RAY_TMPDIR": str(tmp_path)}


def log_of(folder: ServiceFolder, session: str, name: str, content: bytes, age_s: float = 0.0) -> Path:
    file = folder.path / "ray" / f"session_{session}" / "logs" / "serve" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (2e9 - age_s, 2e9 - age_s))
    return file


def files(place: dict[str, str]) -> dict[str, int]:
    root = Path(place["RAY_TMPDIR"], NAME)
    return {str(file.relative_to(root)): file.stat().st_size for file in root.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    "place",
    [
        f"{TMP}/{'x' * 45}",
        f"{TMP}/two words",
        f"{TMP}/é",
        f"{TMP}/a'b",
        "/nowhere/at/all",
        "relative",
        "",
    ],
)
def test_what_can_hold_no_socket_is_no_place_for_a_service(place: str, tmp_path: Path) -> None:
    if place.startswith(f"{TMP}/"):
        Path(place).mkdir(exist_ok=True)
    try:
        found = [*roots({"TMPDIR": place})]
    finally:
        if place.startswith(f"{TMP}/"):
            Path(place).rmdir()
    assert all(len(str(root)) + len("/65535-9") <= LONGEST for root in found)
    assert TMP / NAME in found
    assert not any(place and str(root).startswith(place) for root in found)


def test_a_link_is_followed_before_its_length_counts(tmp_path: Path) -> None:
    link = TMP / f"l{os.getpid()}"
    link.symlink_to(tmp_path / ("x" * 40))
    (tmp_path / ("x" * 40)).mkdir()
    try:
        assert not any("x" * 40 in str(root) for root in roots({"TMPDIR": str(link)}))
    finally:
        link.unlink()


def test_two_services_of_one_port_never_share_a_folder(place: dict[str, str]) -> None:
    first, second = ServiceFolder.take(3000, place), ServiceFolder.take(3000, place)
    assert [first.path.name, second.path.name] == ["3000", "3000-2"]
    assert stat.S_IMODE(first.path.parent.stat().st_mode) == 0o700
    first.close()
    assert ServiceFolder.take(3000, place).path == first.path


def test_after_a_stop_only_logs_stay_and_the_last_alone(place: dict[str, str]) -> None:
    for session in ("2026-01", "2026-02"):
        folder = ServiceFolder.take(3000, place)
        log_of(folder, session, f"replica-{session}.log", b"line\n")
        (folder.path / "haproxy.cfg").touch()
        (folder.path / "ray" / f"session_{session}" / "sockets").mkdir()
        (folder.path / "ray" / "session_latest").symlink_to(f"session_{session}")
        folder.close()
    assert files(place) == {"3000/logs/serve/replica-2026-02.log": 5}
    logs = log_folder(3000, place)
    assert logs == folder.path / "logs"
    assert log_folder(3001, place) is None


def test_a_hundred_starts_leave_ten_megabytes_of_the_newest_logs(
    place: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_folder, "KEPT_BYTES", 10)
    for port in range(3000, 3100):
        folder = ServiceFolder.take(port, place)
        log_of(folder, "2026", "a.log", b"0123" if port < 3099 else b"the end", age_s=3100 - port)
        folder.close()
    assert files(place) == {"3099/logs/serve/a.log": 7, "3098/logs/serve/a.log": 3}
    assert Path(place["RAY_TMPDIR"], NAME, "3098/logs/serve/a.log").read_bytes() == b"123"


def test_the_logs_of_all_ports_are_looked_through_once(place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """With the folders of a hundred ports a start took seconds longer."""
    for port in range(3000, 3020):
        folder = ServiceFolder.take(port, place)
        log_of(folder, "2026", "a.log", b"line\n")
        folder.close()
    looks: list[int] = []
    monkeypatch.setattr(service_folder, "_trim", lambda logs: looks.append(sum(path.is_file() for path in logs)))
    folder = ServiceFolder.take(3000, place)
    assert looks == [20]
    folder.close()
    assert looks == [20, 20]


def test_what_a_killed_service_left_goes_with_the_next_start_at_any_port(place: dict[str, str]) -> None:
    killed = ServiceFolder.take(3000, place)
    log_of(killed, "2026", "a.log", b"why")
    (killed.path / "a").touch()
    os.close(killed._lock)  # noqa: SLF001 - as the kernel does
    ServiceFolder.take(3001, place)
    assert files(place) == {"3000/logs/serve/a.log": 3}


def test_a_folder_of_somebody_elses_is_not_taken(place: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In /tmp anybody may have made one of this name first."""
    root = Path(place["RAY_TMPDIR"], NAME)
    Path(place["RAY_TMPDIR"], "theirs").mkdir()
    root.symlink_to("theirs")
    monkeypatch.setattr(service_folder, "roots", lambda env: iter([root]))
    with pytest.raises(OSError, match="set RAY_TMPDIR to one that can be written"):
        ServiceFolder.take(3000, place)
