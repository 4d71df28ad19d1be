"""docs/faults.md and faults.json: the latest row of every scenario, each with when and on what it was made."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from loadtests.faults.row import Row, table
from loadtests.systems import machine

HEADING = """# Faults

The latest run of every scenario: what was done to the service under load, and what its users saw of it. Every answer
is compared with the model's own vector (within 1e-3), faults are counted by the test itself, and a run with fewer
than it asks for fails. Recovery is from a fault until the last request that it disturbed (which failed, or took longer
than a second) was answered; for the cache, until it was back with the service. `make faults`,
`make faults-nodes` and `make soak` regenerate this table.

HAProxy has no standby. Serve replaces a killed one after three failed health checks: in about six seconds with a check
a second, as `make serve` sets it, in 25 by Ray's own default. The requests in its hands fail, new connections are
refused until then, and clients that retry, as `app.client` does, get their answers.

"""

# By scenario: where else what the row says holds. None of them ran on a cluster of several machines.
EVERYWHERE = "replicas and calls between them are the same on Kubernetes"
LAUNCHER = "times are those of `make serve`'s flags and its proxy on this machine"
HOLDS = {
    "soak": LAUNCHER,
    "encoder": EVERYWHERE,
    "cache_actor": EVERYWHERE,
    "overload": f"refusals: {EVERYWHERE}; {LAUNCHER}",
    "rollout": "in-place updates are the same on Kubernetes; a new cluster is KubeRay's work, and not in it",
    "cache_model": "everywhere: it needs no Ray",
    "proxy": f"here only: {LAUNCHER}; on Kubernetes each worker has one, and the Service skips what is not ready",
    "ingress": f"{EVERYWHERE}; the retry is HAProxy's, by the same flags",
    "raylet": "the loss of a node's processes; on Kubernetes KubeRay makes the next pod, and that takes longer",
    "partition": "that Ray misses a silent node; on Kubernetes the pod's network and probes come first",
    "head": "`ha` only; here Redis is one process that stays, and the next head starts at once",
    "redis": "`ha` only, as the worst of it: with Sentinels or a managed Redis another answers sooner",
}


def keep(folder: Path, rows: Mapping[str, Row], scale: float) -> None:
    """Over the same scenarios' earlier rows; the others stay."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "faults.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    made = {"at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "scale": scale, **machine()}
    known |= {name: row.to_dict() | {"made": made} for name, row in rows.items()}
    file.write_text(json.dumps(known, indent=2) + "\n")
    (folder / "faults.md").write_text(markdown(known))


def markdown(known: Mapping[str, dict[str, object]]) -> str:
    rows: list[Row] = []
    lines: list[str] = []
    for name, fields in known.items():
        made: dict[str, object] = fields["made"]  # type: ignore[assignment]
        rows.append(_row({key: value for key, value in fields.items() if key != "made"}))
        part = "" if made["scale"] == 1 else f", only {made['scale']} of the full length"
        where = f"{made['at']}, {made['cpus']} CPUs ({made['cpu']}){part}"
        lines.append(f"- {rows[-1].fault}: {where}. Holds: {HOLDS.get(name, '–')}.")
    return HEADING + table(rows) + "\n\nWhen, where, and how far a row holds elsewhere:\n\n" + "\n".join(lines) + "\n"


def _row(fields: dict[str, object]) -> Row:
    problems = fields.pop("problems")
    row = Row(**fields)  # type: ignore[arg-type]
    row.problems = problems  # type: ignore[assignment]
    return row
