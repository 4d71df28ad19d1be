"""The shared actors of two applications, of other settings, and without GCS, on a real Ray (`actors_probe`)."""

import json
import subprocess
import sys
from typing import Any

import pytest

from loadtests.running import ROOT, clean_environment


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.actors_probe"],
        cwd=ROOT,
        env=clean_environment(RAY_USAGE_STATS_ENABLED="0"),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return found


def test_two_applications_share_nothing(told: dict[str, Any]) -> None:
    assert told["applications"] == {"entries": [[0], []], "cleared": [1, [0]], "metrics": [3, 4]}


def test_changed_settings_take_effect_and_the_old_actor_ends(told: dict[str, Any]) -> None:
    assert told["settings"] == {
        "of three": [2, 3, 4],
        "sizes": [3, 5],
        "actors": 2,
        "after its life": [],
        "cleared": [3, []],
        "left": 1,
    }


def test_without_gcs_near_hits_go_on(told: dict[str, Any]) -> None:
    assert told["stopped_gcs"] == {"near_hits": 300, "looking": True}
