"""Runs schemathesis's own command line over a live service. `python -m loadtests.schema_fuzz.running URL [--cases
N]`"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEED = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """`cases`: requests made. `report`: what schemathesis printed."""

    passed: bool
    cases: int
    operations: int
    report: str


def run(url: str, examples: int, *, phases: str = "examples,coverage,fuzzing", seed: int = SEED) -> Outcome:
    """Every operation of the service's document, at most `examples` random requests each. The seed fixes them."""
    with tempfile.TemporaryDirectory() as scratch:
        summary = Path(scratch) / "summary.json"
        command = [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"{url}/openapi.json", "--phases", phases, "--max-examples", str(examples)),
            *("--seed", str(seed), "--continue-on-failure", "--no-color", "--request-timeout", "60"),
            *("--report", "json", "--report-json-path", str(summary)),
        ]
        env = os.environ | {"SCHEMATHESIS_HOOKS": "loadtests.schema_fuzz.hooks", "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=scratch, env=env, capture_output=True, text=True, check=False)
        report = done.stdout + done.stderr
        if not summary.exists():
            return Outcome(False, 0, 0, report)
        told = json.loads(summary.read_text())
        # A service that is gone has no document, and no operations.
        cases, operations = told["test_cases"]["generated"], (told["operations"] or {"tested": 0})["tested"]
        return Outcome(done.returncode == 0 and told["complete"], cases, operations, report)


def main() -> int:
    parser = argparse.ArgumentParser(description="schemathesis over a live service")
    parser.add_argument("url", nargs="?", default="http://localhost:3000")
    parser.add_argument("--examples", type=int, default=1000, help="random requests of each operation and mode")
    parser.add_argument("--least", type=int, default=5000, help="fail when fewer cases were made")
    options = parser.parse_args()
    outcome = run(options.url, options.examples)
    sys.stdout.write(f"{outcome.report}\n{outcome.cases} cases over {outcome.operations} operations\n")
    return 0 if outcome.passed and outcome.cases >= options.least else 1


if __name__ == "__main__":
    sys.exit(main())
