"""README.md's table of metrics is the one that `app.telemetry.metrics` has."""

from pathlib import Path

from app.telemetry.metrics import METRICS

README = Path(__file__).parents[3] / "README.md"


def table() -> str:
    lines = ["| metric | kind | labels | what it says |", "|---|---|---|---|"]
    lines += [
        f"| `{metric.name}` | {metric.kind} | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    return "\n".join(lines) + "\n"


def test_the_readme_has_the_table_as_it_is() -> None:
    assert table() in README.read_text(), f"put this into README.md, under Watching:\n\n{table()}"
