"""One line per request: which ones, what is in it, and when it is written. No content, no keys.

A request only puts its line into a list; a thread hands the lines to `logging` twice a second, and how they look
(JSON or text, which file) is the log's own configuration.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.config.args import LogRequests

logger = logging.getLogger(__name__)

WRITE_S = 0.5
MAX_LINES = 10_000  # more than a thread writes in half a second: the rest is counted and left out


@dataclass(frozen=True, slots=True)
class LogRecord:
    """What is known of an answered request.

    Args:
        ended: Seconds since the epoch.
        counts: model, items, tokens, cache_hits, where vectors were asked for.
        stages_ms: As `Server-Timing` has them.
        code: Of the error that it was answered with.
    """

    ended: float
    request_id: str
    method: str
    route: str
    status: int
    total_ms: float
    code: str | None = None
    counts: Mapping[str, object] = field(default_factory=dict)
    stages_ms: Mapping[str, float] = field(default_factory=dict)

    def fields(self) -> dict[str, object]:
        """By the names that they have in a JSON log."""
        known: dict[str, object] = {
            "time": datetime.fromtimestamp(self.ended, UTC).isoformat(timespec="milliseconds"),
            "request_id": self.request_id,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "total_ms": round(self.total_ms, 3),
        }
        if self.code is not None:
            known["code"] = self.code
        known |= self.counts
        if self.stages_ms:
            known["stages_ms"] = {name: round(spent, 3) for name, spent in self.stages_ms.items()}
        return known

    def words(self) -> str:
        """For a log of plain text."""
        words = [self.method, self.route, str(self.status), f"{self.total_ms:.1f}ms"]
        words += [self.code] if self.code else []
        words += [f"{name}={value}" for name, value in self.counts.items()]
        return " ".join(words)


@dataclass(slots=True, eq=False)
class RequestLog:
    """Belongs to one event loop; `run` must be running for lines to be written."""

    mode: LogRequests = "errors"
    _lines: list[LogRecord] = field(default_factory=list)
    _left_out: int = 0

    def wants(self, status: int) -> bool:
        return self.mode == "all" or (self.mode == "errors" and status >= 400)

    def add(self, line: LogRecord) -> None:
        if len(self._lines) < MAX_LINES:
            self._lines.append(line)
        else:
            self._left_out += 1

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await asyncio.sleep(WRITE_S)
            if self._lines:
                await asyncio.to_thread(self._write, *self._take())

    def close(self) -> None:
        """Write what there is, now."""
        self._write(*self._take())

    def _take(self) -> tuple[list[LogRecord], int]:
        taken = self._lines, self._left_out
        self._lines, self._left_out = [], 0
        return taken

    def _write(self, lines: list[LogRecord], left_out: int) -> None:
        for line in lines:
            # An error of ours is a warning: what broke has been logged with its traceback where it broke.
            level = logging.WARNING if line.status >= 500 else logging.INFO
            logger.log(level, "%s", line.words(), extra={**line.fields(), "log_to_stderr": False})
        if left_out:
            logger.warning("%d requests were not logged: there were too many", left_out)
        for handler in logger.handlers or (logger.parent.handlers if logger.parent else ()):
            handler.flush()
