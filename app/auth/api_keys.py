"""API keys: their text format, their creation, and their verification. No files, no HTTP.

A line holds a tenant, its scopes, the SHA-256 of the key, and options:

    acme embed,read 2bb8…64 hex digits… expires=2027-03-01T00:00:00Z requests=600 tokens=100000

The key itself is not stored. SHA-256 without salt is enough: keys have 256 random bits (`python -m app key`).
"""

import hmac
import re
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final, get_args

from app.errors import Forbidden, Unauthorized
from app.words import KeyScope

PREFIX: Final = "emb_"
MAX_LIVE_KEYS: Final = 2  # per tenant: the old key and the new one during a rotation
SCOPES: Final[frozenset[str]] = frozenset(get_args(KeyScope))
TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """`digest`: SHA-256 of the key. `expires`: Unix seconds; None: never. `requests`, `tokens`: its own limits per
    minute; None: the service's limits; 0: no limit."""

    tenant: str
    scopes: frozenset[str]
    digest: bytes
    expires: float | None = None
    requests: int | None = None
    tokens: int | None = None

    def is_live(self, now: float) -> bool:
        return self.expires is None or now < self.expires

    @property
    def line(self) -> str:
        """The line that `parse` reads."""
        parts = [self.tenant, ",".join(sorted(self.scopes)), self.digest.hex()]
        if self.expires is not None:
            parts.append(f"expires={datetime.fromtimestamp(self.expires, UTC):%Y-%m-%dT%H:%M:%SZ}")
        parts += [f"{name}={value}" for name in ("requests", "tokens") if (value := getattr(self, name)) is not None]
        return " ".join(parts)


class KeyRing:
    """The known keys. Immutable: a changed key file results in a new key ring."""

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def live(self, now: float) -> int:
        return sum(key.is_live(now) for key in self._keys)

    def admit(self, secret: bytes | None, scope: KeyScope, now: float) -> ApiKey:
        """The key of this secret, which has this scope.

        Raises:
            Unauthorized: The key is missing, unknown or expired.
            Forbidden: The key lacks the scope.
        """
        if secret is None:
            raise Unauthorized("Send an API key, as `Authorization: Bearer KEY` or `x-api-key: KEY`.")
        digest = sha256(secret).digest()
        found: ApiKey | None = None
        for key in self._keys:
            # Compares all keys in constant time: the duration must not reveal how close a guess was.
            if hmac.compare_digest(digest, key.digest):
                found = key
        if found is None:
            raise Unauthorized("This API key is unknown.")
        if not found.is_live(now):
            raise Unauthorized("This API key has expired. Ask for a new one.")
        if scope not in found.scopes:
            raise Forbidden(f"This needs an API key with the scope `{scope}`; yours has {_listed(found.scopes)}.")
        return found


def parse(lines: Iterable[str], now: float) -> KeyRing:
    """Read lines, which may be empty or contain `#` comments. A ValueError gives the line number but never quotes the
    line, which may contain the key itself by mistake."""
    keys: list[ApiKey] = []
    for number, line in enumerate(lines, 1):
        fields = line.partition("#")[0].split()
        if fields:
            try:
                keys.append(_key(fields))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    if len({key.digest for key in keys}) < len(keys):
        raise ValueError("the same key is listed twice")
    for tenant, count in Counter(key.tenant for key in keys if key.is_live(now)).items():
        if count > MAX_LIVE_KEYS:
            raise ValueError(f"tenant {tenant} has {count} live keys; at most {MAX_LIVE_KEYS}, the old and the new")
    return KeyRing(keys)


def make(tenant: str, scopes: Iterable[str], expires: float | None = None) -> tuple[str, ApiKey]:
    """Create a secret and its key. Raises ValueError if the tenant or a scope is invalid."""
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, ApiKey(_tenant(tenant), _scopes(scopes), sha256(secret.encode()).digest(), expires)


def _key(fields: list[str]) -> ApiKey:
    if len(fields) < 3:
        raise ValueError("it needs a tenant, scopes and a SHA-256, separated by spaces")
    tenant, scopes, digest, *options = fields
    if not DIGEST.fullmatch(digest):
        raise ValueError("the third field must be a SHA-256 of 64 hex digits in lower case (not the key itself)")
    given = dict(option.partition("=")[::2] for option in options)
    if len(given) < len(options) or not given.keys() <= {"expires", "requests", "tokens"}:
        raise ValueError("after the SHA-256 come expires=, requests= and tokens=, each at most once")
    return ApiKey(
        _tenant(tenant),
        _scopes(scopes.split(",")),
        bytes.fromhex(digest),
        _timestamp(given["expires"]) if "expires" in given else None,
        _count(given, "requests"),
        _count(given, "tokens"),
    )


def _tenant(name: str) -> str:
    if not TENANT.fullmatch(name):
        raise ValueError("a tenant must be 1 to 64 letters, digits, `.`, `_` and `-`, starting with a letter or digit")
    return name


def _scopes(names: Iterable[str]) -> frozenset[str]:
    scopes = frozenset(names)
    if not scopes or not scopes <= SCOPES:
        raise ValueError(f"scopes must be some of {_listed(SCOPES)}, separated by commas")
    return scopes


def _timestamp(text: str) -> float:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expires= must be a time such as 2027-03-01T00:00:00Z") from None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def _count(given: dict[str, str], name: str) -> int | None:
    if name not in given:
        return None
    if not (given[name].isascii() and given[name].isdigit()):
        raise ValueError(f"{name}= must be a whole number per minute, 0 for no limit")
    return int(given[name])


def _listed(scopes: Iterable[str]) -> str:
    return ", ".join(sorted(scopes))
