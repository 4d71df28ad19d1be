"""What the bench of the footprint reads and adds up."""

from pathlib import Path

import pytest

from loadtests.bench_footprint import disk_table, memory_table, packages, part, steps, steps_table

SAID = """   0.0 s  Python packages: loading
   1.2 s  Ray: starting
   5.0 s  Every part has started

Ready after 5.5 s: http://127.0.0.1:3000   (ok)
  text  all-MiniLM-L6-v2: 384 dimensions, openvino bf16
""".splitlines()


def test_steps_are_what_the_launcher_says() -> None:
    found = steps(SAID)
    assert found == [
        (0.0, "Python packages: loading"),
        (1.2, "Ray: starting"),
        (5.0, "Every part has started"),
        (5.5, "ready"),
    ]
    assert steps_table(found).splitlines()[2:] == [
        "| 0.0 | 1.2 | Python packages: loading |",
        "| 1.2 | 3.8 | Ray: starting |",
        "| 5.0 | 0.5 | Every part has started |",
        "| 5.5 | | ready |",
    ]


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("ray::ServeReplica:embedding-service:Ingress", "ingress"),
        ("ray::ServeReplica:embedding-service:TextEncoder-all-MiniLM-L6-v2", "text encoder"),
        ("ray::IDLE", "Ray: idle workers"),
        ("ray::DashboardAgent", "Ray: dashboard and agents"),
        ("python -c from app.images import decode_worker", "image decoders"),
        ("raylet --raylet_socket_name=x", "Ray: raylet"),
        ("python -m app serve-here", "Serve's start (our launcher's child)"),
        ("python -m app serve_config.yaml", "launcher"),
        ("bash", "others"),
    ],
)
def test_processes_have_plain_names(words: str, name: str) -> None:
    assert part(words) == name


def test_memory_says_what_is_rays() -> None:
    lines = memory_table({"ingress": 100.0, "Ray: raylet": 50.0}).splitlines()
    assert lines[-1] == "| **together** | **150**, of which Ray's own 50 |"


def test_a_file_of_two_names_counts_once(tmp_path: Path) -> None:
    for name, size in (("ray", 100), ("ray.libs", 10), ("torch", 1000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(bytes(size))
    (tmp_path / "torch" / "again").hardlink_to(tmp_path / "torch" / "file")
    (tmp_path / "torch" / "link").symlink_to(tmp_path / "ray" / "file")
    assert packages(tmp_path) == {"torch": 1000, "ray": 110}


def test_small_packages_stand_together() -> None:
    lines = disk_table({"torch": 700e6, "ray": 200e6, "a": 30e6, "b": 20e6}, 50e6).splitlines()
    assert lines[2:] == [
        "| torch | 700 |",
        "| ray | 200 |",
        "| all other packages | 50 |",
        "| converted models | 50 |",
        "| **together** | **1000** |",
    ]
