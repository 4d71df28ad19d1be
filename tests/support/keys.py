"""An authenticator with one key for each thing that can be wrong with a key."""

from hashlib import sha256

from app.api.middleware.auth import Authenticator
from app.auth import api_keys
from app.auth.key_file import KeyFile
from app.auth.quota import Quotas
from app.config.args import AccessArgs
from app.words import KeyScope

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
SCOPES: tuple[KeyScope, ...] = ("embed", "read", "admin")
ONE: dict[KeyScope, str] = {}
EXPIRED: dict[KeyScope, str] = {}
LINES: list[str] = []


def _make(tenant: str, scopes: list[str], expires: float | None = None) -> str:
    secret, key = api_keys.make(tenant, scopes, expires)
    LINES.append(key.line)
    return secret


for scope in SCOPES:
    ONE[scope] = _make(f"one-{scope}", [scope])
    EXPIRED[scope] = _make(f"late-{scope}", [*SCOPES], NOW - 1)
ALL = _make("all", [*SCOPES])
OTHER = _make("other", [*SCOPES])
# Routes that Serve itself answers, before a request reaches the application, and their scopes.
SERVE_ROUTES = {"/-/healthz": "open", "/-/routes": "open"}
UNKNOWN = api_keys.make("nobody", SCOPES)[0]


def guard_of(**args: object) -> Authenticator:
    settings = AccessArgs.model_validate({"keys": LINES} | args)
    return Authenticator(KeyFile(settings.keys, None, lambda: NOW), settings, Quotas(lambda: NOW))


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def line(secret: str, tenant: str = "acme", scopes: str = "embed", rest: str = "") -> str:
    return f"{tenant} {scopes} {sha256(secret.encode()).hexdigest()} {rest}".strip()
