"""How far a run is: rows/s, tokens/s and the time left, from receipts. The clock is the caller's."""

from dataclasses import dataclass, field

from app.corpus.worker import Receipt


@dataclass(slots=True)
class Progress:
    """Counts what receipts tell; each part counts once, however often it is reported."""

    total: int
    now: float
    rows: int = 0
    rejects: int = 0
    tokens: int = 0
    embedded: int = 0
    done_before: int = 0
    first: float | None = None
    last: float = 0.0
    receipts: dict[str, Receipt] = field(default_factory=dict)

    def add(self, receipt: Receipt) -> None:
        if receipt.part in self.receipts:
            return
        self.receipts[receipt.part] = receipt
        self.rows += receipt.rows
        self.rejects += receipt.rejects
        if not receipt.written:
            self.done_before += receipt.rows + receipt.rejects
            return
        self.tokens += receipt.tokens
        self.embedded += receipt.embedded
        self.first = receipt.started if self.first is None else min(self.first, receipt.started)
        self.last = max(self.last, receipt.ended)

    @property
    def working_s(self) -> float:
        """From the first part's start to the last part's end: Ray's and the model's start are no part of it."""
        return self.last - self.first if self.first is not None else 0.0

    def line(self, now: float) -> str:
        """One line for people. `now` is on the clock that `self.now` was read from."""
        seen = self.rows + self.rejects
        fresh = seen - self.done_before
        seconds = max(self.working_s, 1e-9)
        rate = fresh / seconds if fresh else 0.0
        left = f"ETA {duration((self.total - seen) / rate)}" if rate else "already there"
        share = 100 * seen / self.total if self.total else 100.0
        return (
            f"{seen:,}/{self.total:,} rows {share:.1f}%  {rate:,.0f} rows/s  "
            f"{self.tokens / seconds if fresh else 0:,.0f} tokens/s  {left}  "
            f"{self.rejects:,} rejects  {duration(now - self.now)} so far"
        )


def duration(seconds: float) -> str:
    whole = round(max(0.0, seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{whole % 60:02}s" if minutes else f"{whole}s"
