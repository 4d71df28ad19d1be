"""One table of what was sent, how it was answered and what was wrong with that. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from loadtests.fuzz_run import Report

HEAD = ("through", "what", "asked", "sent", "2xx", "4xx", "5xx", "other", "seconds", "faults")


@dataclass(frozen=True, slots=True)
class Row:
    """`report.sent` of `asked` went `through` an address."""

    through: str
    what: str
    asked: int
    report: Report

    @property
    def faults(self) -> list[str]:
        """The report's, and that too little was sent."""
        few = (
            [] if self.report.sent >= self.asked else [f"only {self.report.sent} of {self.asked} {self.what} were sent"]
        )
        return [f"{self.through}, {self.what}: {fault}" for fault in (*few, *self.report.faults)]


def table(rows: Sequence[Row]) -> str:
    every = Report(sum(row.report.sent for row in rows), seconds=sum(row.report.seconds for row in rows))
    for row in rows:
        every.statuses.update(row.report.statuses)
    lines = [
        HEAD,
        *(_cells(row.through, row.what, row.asked, row.report, len(row.faults)) for row in rows),
        _cells("all", "", sum(row.asked for row in rows), every, sum(len(row.faults) for row in rows)),
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(_placed, line, widths, range(len(HEAD)))) for line in lines)


def _cells(through: str, what: str, asked: int, report: Report, faults: int) -> tuple[str, ...]:
    by_class = [sum(n for status, n in report.statuses.items() if status // 100 == c) for c in (2, 4, 5)]
    other = sum(report.statuses.values()) - sum(by_class)
    numbers = (asked, report.sent, *by_class, other, round(report.seconds), faults)
    return (through, what, *(f"{number:,}" for number in numbers))


def _placed(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if column < 2 else cell.rjust(width)
