"""`python -m tests.negative_controls [--tenth COMMIT] [WORD ...]`: each guard off, one by one, in a copy.

Fails unless a named test fails for each. A test that can't be run, or has no end, has noticed nothing. Needs no Ray.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from tests.negative_controls.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
# Several times what any one guard's tests take.
LONGEST_S = 180
# At once, each in a copy of its own: half of what one does is the start of Python and pytest.
COPIES = 2
LEFT_OUT = (".venv*", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__")
# Code that can't even be run shows nothing of its guard.
BROKEN = ("ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "NameError", "Failed: Timeout")


class Verdict(NamedTuple):
    """`red`: a test failed by what it asserts."""

    red: bool
    words: str


def run_tests(folder: Path, tests: str, longest_s: float | None = LONGEST_S) -> Verdict:
    """What these tests say of the code there, up to the first that fails."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-rf", "-p", "no:cacheprovider"]
    # So wide that no reason is cut off.
    env = os.environ | {"COLUMNS": "1000"}
    try:
        done = subprocess.run(
            [*command, *tests.split()],
            cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=longest_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Verdict(False, "NO END")
    return verdict(done.returncode, done.stdout)


def verdict(status: int, output: str) -> Verdict:
    """What pytest's exit code and summary say."""
    if status == 0:
        return Verdict(False, "NO TEST NOTICES")
    failed = [line.removeprefix("FAILED ") for line in output.splitlines() if line.startswith("FAILED tests/")]
    if not failed:
        return Verdict(False, f"NO TEST RAN (exit code {status})")
    name, _, reason = failed[0].partition(" - ")
    if reason.startswith(BROKEN):
        return Verdict(False, f"BROKEN: {name}: {reason[:200]}")
    return Verdict(True, name)


def try_one(folder: Path, mutation: Mutation) -> Verdict:
    path = folder / mutation.file
    whole = path.read_text()
    path.write_text(whole.replace(mutation.old, mutation.new))
    try:
        return run_tests(folder, mutation.tests)
    finally:
        path.write_text(whole)


def try_all(folders: Sequence[Path], mutations: Sequence[Mutation]) -> Iterator[tuple[Mutation, Verdict]]:
    """In the order given, one at a time in each folder."""
    free: SimpleQueue[Path] = SimpleQueue()
    for folder in folders:
        free.put(folder)

    def one(mutation: Mutation) -> Verdict:
        folder = free.get()
        try:
            return try_one(folder, mutation)
        finally:
            free.put(folder)

    with ThreadPoolExecutor(len(folders)) as threads:
        yield from zip(mutations, threads.map(one, mutations), strict=True)


def tenth(mutations: Sequence[Mutation], commit: str) -> list[Mutation]:
    """Another tenth for each commit."""

    def drawn(mutation: Mutation) -> bytes:
        return sha256(f"{commit} {mutation.guard}".encode()).digest()

    return sorted(mutations, key=drawn)[: -(-len(mutations) // 10)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only guards whose names have one of these; default: all")
    parser.add_argument("--tenth", metavar="COMMIT", help="only a tenth, which this draws")
    asked = parser.parse_args()
    todo = [m for m in MUTATIONS if not asked.words or any(word in m.guard for word in asked.words)]
    if asked.tenth is not None:
        todo = tenth(todo, asked.tenth)
    with tempfile.TemporaryDirectory() as scratch:
        folders = [Path(scratch, str(number)) for number in range(COPIES)]
        for folder in folders:
            shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        every = " ".join(dict.fromkeys(test for m in todo for test in m.tests.split()))
        if (sound := run_tests(folders[0], every, None)).words != "NO TEST NOTICES":
            sys.stdout.write(f"with every guard on: {sound.words}\n")
            return 1
        unnoticed = 0
        for mutation, found in try_all(folders, todo):
            unnoticed += not found.red
            sys.stdout.write(f"{mutation.guard:40} {found.words}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(todo)} guards, {unnoticed} unnoticed\n")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
