"""Whether a load test passed: what it was allowed, against what it saw. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Seen:
    """All requests of a run. Times in milliseconds."""

    requests: int
    failures: int
    p50_ms: float
    p99_ms: float
    per_s: float

    @property
    def failed_share(self) -> float:
        return self.failures / self.requests if self.requests else 1.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """Thresholds; the values here forbid nothing but failures."""

    failed_share: float = 0.0
    p50_ms: float = float("inf")
    p99_ms: float = float("inf")
    least_per_s: float = 0.0

    def broken_by(self, seen: Seen) -> list[str]:
        """One line for each threshold that was not kept; none when the run passed. A run without requests did not."""
        checks = [
            (seen.requests == 0, "no request was answered"),
            (
                seen.failed_share > self.failed_share,
                f"{seen.failures} of {seen.requests} failed, {self.failed_share:.2%} may",
            ),
            (seen.p50_ms > self.p50_ms, f"p50 was {seen.p50_ms:g} ms, at most {self.p50_ms:g} is allowed"),
            (seen.p99_ms > self.p99_ms, f"p99 was {seen.p99_ms:g} ms, at most {self.p99_ms:g} is allowed"),
            (
                seen.per_s < self.least_per_s,
                f"{seen.per_s:.1f} requests/s, at least {self.least_per_s:g} are asked for",
            ),
        ]
        return [words for broken, words in checks if broken]
