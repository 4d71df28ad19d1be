"""One line of the table: what was done to the service, what came of it, and what of that is not as it must be."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from loadtests.measuring import percentile_ms

HEAD = "| Fault | Injected | Requests | Failed | Wrong | Recovery p50 / max | Beside | Passed |\n" + "|---" * 8 + "|"
# Of requests that left late: above it the load was not the one that was asked for.
MOST_LATE = 0.1


@dataclass
class Row:
    """Figures and problems of one scenario. A scenario without problems has passed.

    Args:
        injected, asked_faults: Faults that the test itself counted, and how many there had to be.
        requests, asked_requests: Answers judged, and how many there had to be.
        recovery_s: One number for each fault.
        codes: The statuses of what failed or was refused, and how many of each.
    """

    fault: str
    injected: int
    asked_faults: int
    requests: int
    asked_requests: int
    failed: int = 0
    wrong: int = 0
    recovery_s: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    codes: str = ""

    def __post_init__(self) -> None:
        if self.injected < self.asked_faults:
            self.problems.append(f"only {self.injected} of {self.asked_faults} faults were injected")
        if self.requests < self.asked_requests:
            self.problems.append(f"only {self.requests} of {self.asked_requests} requests were made")
        if self.wrong:
            self.problems.append(f"{self.wrong} answers were wrong")

    def must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)

    def none_failed(self) -> None:
        self.must(self.failed == 0, f"{self.failed} requests failed" + (f": {self.codes}" if self.codes else ""))

    def kept_schedule(self, late: float) -> None:
        self.notes.append(f"{late:.1%} left late")
        self.must(late <= MOST_LATE, f"the driver did not keep its schedule: {late:.1%} of the requests left late")

    def recovered_within(self, seconds: float) -> None:
        worst = max(self.recovery_s, default=0.0)
        self.must(worst <= seconds, f"recovery took {worst:.1f} s, not {seconds:g} s at most")

    def markdown(self) -> str:
        cells = [
            self.fault,
            f"{self.injected:,}",
            f"{self.requests:,}",
            f"{self.failed:,}",
            f"{self.wrong:,}",
            self._recovery(),
            "; ".join(self.notes),
            "yes" if not self.problems else "**no**: " + "; ".join(self.problems),
        ]
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def _recovery(self) -> str:
        if not self.recovery_s:
            return "–"
        return f"{percentile_ms(self.recovery_s, 50) / 1e3:.1f} / {max(self.recovery_s):.1f} s"


def table(rows: Iterable[Row]) -> str:
    return "\n".join([HEAD, *(row.markdown() for row in rows)])


def passed(rows: Sequence[Row]) -> bool:
    """No row is no pass: a run of nothing proves nothing."""
    return bool(rows) and not any(row.problems for row in rows)
