"""Which nodes the parts of the service are put on, asked of a real Ray of four nodes (`placement_probe`)."""

import json
import subprocess
import sys

from loadtests.running import ROOT, clean_environment


def test_encoders_where_the_gpus_are_and_nothing_else_there() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.placement_probe"],
        cwd=ROOT,
        env=clean_environment(RAY_USAGE_STATS_ENABLED="0", RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S="1"),
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    told = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert told["begun"]["TextEncoder-stand-in"] == ["gpu-a", "gpu-a", "gpu-b", "gpu-b"]
    # As the overlay for GPUs asks for it: by a resource that only nodes without one have.
    assert told["begun"]["Ingress"] == ["plain", "plain"]
    assert told["begun"]["Similarity"] == ["plain"]
    # Never on the head; away from the GPUs while there is a node without one.
    assert told["begun"]["CacheActor"] == ["plain"]
    assert told["after"]["CacheActor"] in (["gpu-a"], ["gpu-b"])
