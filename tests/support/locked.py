"""A service that asks for API keys, sends traces to a collector of ours, fetches pictures from a server of ours, and
may be called by pages of another origin: what is known of it.
"""

from dataclasses import dataclass
from pathlib import Path

from app.auth import api_keys
from app.auth.api_keys import ApiKey
from app.words import KeyScope
from loadtests.running import RunningService
from tests.support.otlp_collector import Collector
from tests.support.pictures_server import Pictures

# The origin of pages that may call it.
PAGE = "https://page.example"
SHARDS = 3
SCOPES: tuple[KeyScope, ...] = ("embed", "read", "admin")


@dataclass
class Locked:
    """`keys`: secrets by name. `direct`: the port of the ingress replica itself."""

    service: RunningService
    file: Path
    keys: dict[str, str]
    direct: int
    collector: Collector
    pictures: Pictures

    def urls(self) -> list[str]:
        return [self.service.url, f"http://127.0.0.1:{self.direct}"]

    def bearer(self, name: str) -> dict[str, str]:
        return bearer(self.keys[name])


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def write_keys(file: Path) -> dict[str, str]:
    """A key for each scope and each way of being no good; the secrets."""
    made: dict[str, tuple[str, ApiKey]] = {scope: api_keys.make(f"one-{scope}", [scope]) for scope in SCOPES}
    made |= {name: api_keys.make(name, SCOPES) for name in ("all", "other", "few", "traced")}
    made |= {"late": api_keys.make("late", SCOPES, 1.0), "page": api_keys.make("page", ["embed", "read"])}
    lines = [key.line + (" requests=2" if name == "few" else "") for name, (_, key) in made.items()]
    file.write_text("\n".join(lines))
    return {name: secret for name, (secret, _) in made.items()}
