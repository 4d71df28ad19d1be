import os
import socket
import threading
from io import BufferedReader, FileIO
from pathlib import Path

import pytest

from app.errors import InvalidImage, PayloadTooLarge, ServiceError
from app.images import folder as image_folder
from loadtests.pictures import limits

IMAGE, SECRET = b"an image", b"a secret"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An allowed folder beside a secret, with every kind of way from one to the other."""
    (tmp_path / "secret.png").write_bytes(SECRET)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "secret.png").write_bytes(SECRET)
    inside = tmp_path / "images"
    (inside / "sub").mkdir(parents=True)
    (inside / "a.png").write_bytes(IMAGE)
    (inside / "sub" / "ü b.png").write_bytes(IMAGE)
    Path(os.fsdecode(bytes(inside) + b"/a\x80.png")).write_bytes(IMAGE)
    (inside / "out.png").symlink_to(tmp_path / "secret.png")
    (inside / "relative.png").symlink_to("../secret.png")
    (inside / "dangling.png").symlink_to("../missing.png")
    (inside / "outdir").symlink_to(tmp_path / "other")
    (inside / "in.png").symlink_to("a.png")
    (inside / "indir").symlink_to("sub")
    (inside / "loop").symlink_to("loop")
    os.mkfifo(inside / "fifo.png")
    with socket.socket(socket.AF_UNIX) as listener:
        # The address holds 108 bytes at most, so it is bound by a short name.
        listener.bind(os.path.relpath(inside / "socket.png"))
    return inside


def read(path: str, folder: Path | None, **changes: int) -> bytes:
    return image_folder.read(path, folder=folder, limits=limits(**changes), param="images.1")


def refusal(path: str, folder: Path, **changes: int) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        read(path, folder, **changes)
    assert caught.value.param == "images.1"
    return caught.value


@pytest.mark.parametrize("path", ["./a.png", "a.png", "././/a.png", "./sub/ü b.png"])
def test_files_inside(path: str, folder: Path) -> None:
    assert read(path, folder) == IMAGE


@pytest.mark.parametrize(
    "path",
    [
        "./missing.png",
        "./../secret.png",
        "./../missing.png",
        "../images/a.png",
        "./sub/../../secret.png",
        "./sub/missing/../../a.png",
        "./sub/../a.png",
        "/etc/passwd",
        "//etc/passwd",
        "/missing",
        "/a.png",
        "/proc/self/environ",
        "./out.png",
        "./relative.png",
        "./dangling.png",
        "./outdir/secret.png",
        "./outdir/missing.png",
        "./in.png",
        "./indir/ü b.png",
        "./loop",
        "./fifo.png",
        "./socket.png",
        "./sub",
        "./sub/",
        "./",
        ".",
        "",
        "./a.png/b.png",
        "./a.png\0",
        "./a.png\0.jpg",
        "./\ud800.png",
        "./a\udc80.png",
        "./" + "a" * 300,
        "./" * 5000 + "a.png",
        "./..\\secret.png",
        "./%2e%2e/secret.png",
        "./~/a.png",
        "./$HOME",
    ],
)
def test_unreadable_paths_have_one_error_message(path: str, folder: Path) -> None:
    error = refusal(path, folder)
    assert (type(error), error.message) == (InvalidImage, "No image can be read at this path.")


def test_unreadable_folder(tmp_path: Path) -> None:
    assert refusal("./a.png", tmp_path / "missing").message == "No image can be read at this path."


def test_paths_are_off_without_a_folder() -> None:
    with pytest.raises(InvalidImage, match="IMAGE_FOLDER"):
        read("./a.png", None)


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert read("./a.png", tmp_path / "link") == IMAGE


def test_devices_are_not_files() -> None:
    assert refusal("./zero", Path("/dev")).message == "No image can be read at this path."


def test_file_size_limit(folder: Path) -> None:
    assert read("./a.png", folder, image_bytes=len(IMAGE)) == IMAGE
    assert isinstance(refusal("./a.png", folder, image_bytes=len(IMAGE) - 1), PayloadTooLarge)


class Unread(BufferedReader):
    def read(self, size: int | None = -1, /) -> bytes:
        pytest.fail(f"read {size} bytes")


def test_a_large_file_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.truncate(folder / "a.png", 2**40)
    monkeypatch.setattr(
        "app.images.folder.open", lambda path, mode, opener: Unread(FileIO(path, mode, opener=opener)), raising=False
    )
    assert isinstance(refusal("./a.png", folder), PayloadTooLarge)


def test_a_file_that_hides_its_size() -> None:
    # Files in /proc say 0; so does one that grows between the look and the reading.
    status = f"./{os.getpid()}/status"
    assert read(status, Path("/proc")).startswith(b"Name:")
    assert isinstance(refusal(status, Path("/proc"), image_bytes=10), PayloadTooLarge)


def test_no_descriptor_is_left_open(folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("./a.png", "./sub/ü b.png"):
        read(path, folder)
    for path in ("./sub/x", "./outdir/x", "./fifo.png", "./sub", "./x/y", "./out.png", "./a.png/b"):
        refusal(path, folder)
    refusal("./a.png", folder, image_bytes=1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_folder_swapped_for_a_link_meanwhile(folder: Path, tmp_path: Path) -> None:
    """The race that a check before opening loses: `sub` is now a folder, now a link to the outside."""
    (folder / "sub" / "secret.png").write_bytes(IMAGE)
    (folder / "spare").symlink_to(tmp_path / "other")
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            for source, target in (("sub", "kept"), ("spare", "sub"), ("sub", "spare"), ("kept", "sub")):
                (folder / source).rename(folder / target)

    swapper = threading.Thread(target=swap)
    swapper.start()
    seen = set()
    try:
        for _ in range(3000):
            try:
                seen.add(read("./sub/secret.png", folder))
            except InvalidImage:
                seen.add(b"refused")
    finally:
        done.set()
        swapper.join()
    assert SECRET not in seen
    assert seen == {IMAGE, b"refused"}
