"""The request log: one line per request, without its content and keys. A request only appends a record to a list; at
most twice a second a thread passes them to `logging`, whose configuration decides on the format and the file."""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from app.config.args import LogRequests

logger = logging.getLogger(__name__)

# Ids of requests that clients may choose: no characters that are special in logs, headers or HTML.
VALID_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
WRITE_S = 0.5
MAX_LINES = 10_000  # more than a thread writes in half a second; further lines are dropped and counted


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One finished request. `ended`: seconds since the epoch. `counts`: model, items, tokens and cache_hits, if it
    returned vectors. `stages_ms`: as in `Server-Timing`. `code`: of the error response, if it is one."""

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
        """The fields of a JSON log line."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(self.ended, UTC).isoformat(timespec="milliseconds"),
            "request_id": self.request_id,
            "method": self.method,
            "route": self.route,
            "status": self.status,
            "total_ms": round(self.total_ms, 3),
        }
        if self.code is not None:
            fields["code"] = self.code
        fields |= self.counts
        if self.stages_ms:
            fields["stages_ms"] = {name: round(spent, 3) for name, spent in self.stages_ms.items()}
        return fields

    def text(self) -> str:
        """The message of a plain-text log line."""
        parts = [self.method, self.route, str(self.status), f"{self.total_ms:.1f}ms"]
        parts += [self.code] if self.code else []
        parts += [f"{name}={value}" for name, value in self.counts.items()]
        return " ".join(parts)


@dataclass(slots=True, eq=False)
class RequestLog:
    """Belongs to one event loop. Lines are written while `run` is running."""

    mode: LogRequests = "errors"
    _lines: list[LogRecord] = field(default_factory=list)
    _dropped: int = 0
    _added: asyncio.Event = field(default_factory=asyncio.Event)

    def wants(self, status: int) -> bool:
        return self.mode == "all" or (self.mode == "errors" and status >= 400)

    def add(self, line: LogRecord) -> None:
        if len(self._lines) < MAX_LINES:
            self._lines.append(line)
        else:
            self._dropped += 1
        self._added.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._added.wait()
            await asyncio.sleep(WRITE_S)
            self._added.clear()
            await asyncio.to_thread(self._write, *self._drain())

    def close(self) -> None:
        """Write all pending lines now."""
        self._write(*self._drain())

    def _drain(self) -> tuple[list[LogRecord], int]:
        pending = self._lines, self._dropped
        self._lines, self._dropped = [], 0
        return pending

    def _write(self, lines: list[LogRecord], dropped: int) -> None:
        for line in lines:
            # A server error is only a warning here: its traceback was logged where it was raised.
            level = logging.WARNING if line.status >= 500 else logging.INFO
            logger.log(level, "%s", line.text(), extra={**line.fields(), "log_to_stderr": False})
        if dropped:
            logger.warning("%d requests were not logged because there were too many", dropped)
        for handler in logger.handlers or (logger.parent.handlers if logger.parent else ()):
            handler.flush()
