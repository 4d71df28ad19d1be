"""The list is not stale: each guard's line stands where it says, once. That tests notice is the long run's to find."""

from pathlib import Path

import pytest

from tests.negative_controls.mutations import MUTATIONS, Mutation

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.guard)
def test_the_guard_is_there(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.new != mutation.old
    assert all((ROOT / test.partition("::")[0]).exists() for test in mutation.tests.split())


def test_every_guard_has_a_name_of_its_own() -> None:
    names = [mutation.guard for mutation in MUTATIONS]
    assert len(set(names)) == len(names) > 70
