"""`python -m loadtests.faults [names]`: runs scenarios, prints their table, and keeps it in docs/.

Fails when a scenario does: an answer wrong or lost, a limit passed, or fewer faults or requests than there had to be.
"""

import argparse
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from loadtests import autogroup
from loadtests.faults import report
from loadtests.faults.row import Row, passed, table

# In the order in which they run; a module of each name is beside this one.
SHORT = ("encoder", "cache_actor", "overload", "rollout", "cache_model")
NODES = ("proxy", "ingress", "raylet", "partition", "head", "redis")
SOAK = ("soak",)


def main() -> int:
    parser = argparse.ArgumentParser("python -m loadtests.faults", description=__doc__)
    parser.add_argument(
        "names", nargs="*", help=f"of {', '.join((*SHORT, *NODES, *SOAK))} (default: {' '.join(SHORT)})"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of requests, faults and seconds; 1: the official run")
    parser.add_argument("--folder", type=Path, default=None, help="where faults.md and faults.json are kept")
    asked = parser.parse_args()
    if unknown := set(asked.names) - {*SHORT, *NODES, *SOAK}:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that services end too
    rows: dict[str, Row] = {}
    for name in asked.names or SHORT:
        scenario: Callable[[float], Row] = import_module(f"loadtests.faults.{name}").scenario
        print(f"{datetime.now(UTC):%H:%M:%S} {name} ...", flush=True)
        with autogroup.off():
            rows[name] = scenario(asked.scale)
        print(rows[name].markdown(), flush=True)
    print("\n" + table(rows.values()))
    if asked.folder is not None:
        report.keep(asked.folder, rows, asked.scale)
    return 0 if passed(list(rows.values())) else 1


if __name__ == "__main__":
    sys.exit(main())
