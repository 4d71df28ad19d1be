"""The list is not stale, and what counts as a test that notices. That tests do notice is the long run's to find."""

import asyncio
from pathlib import Path

import pytest

from tests.negative_controls.__main__ import Verdict, run_tests, tenth, try_all, verdict
from tests.negative_controls.mutations import MUTATIONS, Mutation
from tests.support.aio import bounded

ROOT = Path(__file__).parents[2]


def stale(mutation: Mutation) -> list[str]:
    found = []
    if (count := (ROOT / mutation.file).read_text().count(mutation.old)) != 1:
        found.append(f"{mutation.guard}: its line stands {count} times in {mutation.file}")
    if mutation.new == mutation.old:
        found.append(f"{mutation.guard}: changes nothing")
    for test in mutation.tests.split():
        path, _, name = test.partition("::")
        if not (ROOT / path).exists():
            found.append(f"{mutation.guard}: there is no {path}")
        elif name and f"def {name.partition('[')[0]}(" not in (ROOT / path).read_text():
            found.append(f"{mutation.guard}: there is no {test}")
    return found


def test_every_guard_is_there_and_so_is_its_test() -> None:
    assert [words for mutation in MUTATIONS for words in stale(mutation)] == []


def test_every_guard_has_a_name_of_its_own() -> None:
    names = [mutation.guard for mutation in MUTATIONS]
    assert len(set(names)) == len(names) > 70


def test_each_commit_draws_a_tenth_of_its_own() -> None:
    drawn = [[m.guard for m in tenth(MUTATIONS, commit)] for commit in ("a", "a", "b")]
    assert drawn[0] == drawn[1] != drawn[2]
    assert {len(set(names)) for names in drawn} == {-(-len(MUTATIONS) // 10)}
    assert len({m.guard for number in range(100) for m in tenth(MUTATIONS, str(number))}) == len(MUTATIONS)


@pytest.mark.parametrize(
    ("status", "line", "expected"),
    [
        (1, "FAILED tests/a.py::test_b - assert 1 == 2", Verdict(True, "tests/a.py::test_b")),
        (1, "FAILED tests/a.py::test_b - ValueError: no", Verdict(True, "tests/a.py::test_b")),
        (0, "3 passed", Verdict(False, "NO TEST NOTICES")),
        (2, "ERROR tests/a.py - ModuleNotFoundError: x", Verdict(False, "NO TEST RAN (exit code 2)")),
        (1, "ERROR tests/a.py::test_b - no such fixture", Verdict(False, "NO TEST RAN (exit code 1)")),
        (1, "FAILED tests/a.py::test_b - NameError: x", Verdict(False, "BROKEN: tests/a.py::test_b: NameError: x")),
        (
            *(1, "FAILED tests/a.py::test_b - Failed: Timeout (>600.0s)"),
            Verdict(False, "BROKEN: tests/a.py::test_b: Failed: Timeout (>600.0s)"),
        ),
        (1, "FAILED tests/a.py::test_b - TimeoutError", Verdict(True, "tests/a.py::test_b")),
    ],
)
def test_only_a_test_that_fails_has_noticed(status: int, line: str, expected: Verdict) -> None:
    assert verdict(status, f"short test summary info\n{line}\n") == expected


def test_it_is_pytest_that_says_so_and_what_hangs_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_one.py").write_text("def test_it(): assert [1] == [2]\n")
    assert run_tests(tmp_path, "tests/test_one.py") == (True, "tests/test_one.py::test_it")
    assert run_tests(tmp_path, "tests/test_one.py", 0.01) == (False, "NO END")


def test_each_guard_is_off_alone_and_on_again_afterwards(tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        (folder / "tests").mkdir(parents=True)
        (folder / "guards.txt").write_text("one two three")
        (folder / "tests" / "test_one.py").write_text(
            "def test_it(): assert open('guards.txt').read() in ('one two three', 'one two ---')\n"
        )
    mutations = [Mutation(word, "guards.txt", word, "---", "tests/test_one.py") for word in ("one", "two", "three")]
    found = [(mutation.guard, verdict.red) for mutation, verdict in try_all(folders, mutations)]
    assert found == [("one", True), ("two", True), ("three", False)]
    assert [(folder / "guards.txt").read_text() for folder in folders] == ["one two three"] * 2


async def test_what_has_no_end_in_an_asynchronous_test_has_noticed_nothing() -> None:
    async def gives_up() -> None:
        raise TimeoutError

    with pytest.raises(pytest.fail.Exception, match=r"^Timeout: no end after 0\.01 s$"):
        await bounded(asyncio.Event().wait(), 0.01)
    with pytest.raises(TimeoutError):
        await bounded(gives_up())
