"""`python -m tests.negative_controls [WORD]`: each guard off, in a copy; fails when no test notices. Needs no Ray."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.negative_controls.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]
# Several times what any one guard's tests take: what has no end by then hangs, which is noticed too.
LONGEST_S = 180
LEFT_OUT = (".venv", ".git", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "__pycache__", "docs")


def first_failure(folder: Path, tests: str, longest_s: float | None = LONGEST_S) -> str | None:
    """The first test that fails there; None where all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests.split()]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=longest_s)
    except subprocess.TimeoutExpired:
        return "(no end)"
    if done.returncode == 0:
        return None
    failed = [
        line.split(" ", 2)[1] for line in done.stdout.splitlines() if line.startswith(("FAILED tests/", "ERROR tests/"))
    ]
    return failed[0] if failed else f"(exit code {done.returncode})"


def try_one(folder: Path, mutation: Mutation) -> str | None:
    path = folder / mutation.file
    whole = path.read_text()
    path.write_text(whole.replace(mutation.old, mutation.new))
    try:
        return first_failure(folder, mutation.tests)
    finally:
        path.write_text(whole)


def main() -> int:
    words = sys.argv[1:]
    todo = [m for m in MUTATIONS if not words or any(word in m.guard for word in words)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "source"
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
        every = " ".join(dict.fromkeys(test for m in todo for test in m.tests.split()))
        if (red := first_failure(folder, every, None)) is not None:
            sys.stdout.write(f"with every guard on, {red} fails already\n")
            return 1
        unnoticed = 0
        for mutation in todo:
            red = try_one(folder, mutation)
            unnoticed += red is None
            sys.stdout.write(f"{mutation.guard:40} {red or 'NO TEST NOTICES'}\n")
            sys.stdout.flush()
    sys.stdout.write(f"{len(todo)} guards, {unnoticed} unnoticed\n")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
