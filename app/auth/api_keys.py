"""API keys: what a key is, how it is written down, and whether a request's key is one. Knows neither files nor HTTP.

A line names a tenant, its scopes and the SHA-256 of the key, then options:

    acme embed,read 2bb8…64 hex digits… expires=2027-03-01T00:00:00Z requests=600 tokens=100000

The key itself is kept nowhere. SHA-256 without salt is enough: keys have 256 random bits (`python -m app key`).
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
from app.types import KeyScope

PREFIX: Final = "emb_"
LIVE_KEYS: Final = 2  # of one tenant: the old one and the new one
SCOPES: Final[frozenset[str]] = frozenset(get_args(KeyScope))
TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key.

    Args:
        digest: SHA-256 of the key.
        expires: Unix seconds; None for no end.
        requests, tokens: This tenant's own limits per minute; None for the service's, 0 for none.
    """

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
        """As `parse` reads it."""
        parts = [self.tenant, ",".join(sorted(self.scopes)), self.digest.hex()]
        if self.expires is not None:
            parts.append(f"expires={datetime.fromtimestamp(self.expires, UTC):%Y-%m-%dT%H:%M:%SZ}")
        parts += [f"{name}={value}" for name in ("requests", "tokens") if (value := getattr(self, name)) is not None]
        return " ".join(parts)


class KeyRing:
    """The keys that are known. Immutable: a changed file makes a new one."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Iterable[ApiKey] = ()) -> None:
        self._keys = tuple(keys)

    def live(self, now: float) -> int:
        return sum(key.is_live(now) for key in self._keys)

    def find(self, secret: bytes, now: float) -> ApiKey:
        """The key that `secret` is.

        Raises:
            Unauthorized: It is none, or its time is over.
        """
        digest = sha256(secret).digest()
        found: ApiKey | None = None
        for key in self._keys:
            # Every key, and to the end of each: the time taken tells nobody how near a guess came.
            if hmac.compare_digest(digest, key.digest):
                found = key
        if found is None:
            raise Unauthorized("This API key is not known here.")
        if not found.is_live(now):
            raise Unauthorized("This API key has expired. Ask for a new one.")
        return found

    def admit(self, secret: bytes | None, scope: KeyScope, now: float) -> ApiKey:
        """The key that `secret` is, which may do what `scope` covers.

        Raises:
            Unauthorized: No key, or none that is known and live.
            Forbidden: The key has not this scope.
        """
        if secret is None:
            raise Unauthorized("Send an API key, as `Authorization: Bearer KEY` or `x-api-key: KEY`.")
        key = self.find(secret, now)
        if scope not in key.scopes:
            raise Forbidden(f"This needs an API key with the scope `{scope}`; yours has {_listed(key.scopes)}.")
        return key


def parse(lines: Iterable[str], now: float) -> KeyRing:
    """Lines, with `#` comments and empty ones between them.

    Raises:
        ValueError: Names the line by its number, and never quotes it: somebody may have put the key itself there.
    """
    keys: list[ApiKey] = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                keys.append(_key(words))
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None
    if len({key.digest for key in keys}) < len(keys):
        raise ValueError("the same key stands there twice")
    for tenant, count in Counter(key.tenant for key in keys if key.is_live(now)).items():
        if count > LIVE_KEYS:
            raise ValueError(f"tenant {tenant} has {count} live keys; at most {LIVE_KEYS}, the old and the new")
    return KeyRing(keys)


def make(tenant: str, scopes: Iterable[str], expires: float | None = None) -> tuple[str, ApiKey]:
    """A new secret and its key.

    Raises:
        ValueError: No tenant, or no such scope.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    return secret, ApiKey(_tenant(tenant), _scopes(scopes), sha256(secret.encode()).digest(), expires)


def _key(words: list[str]) -> ApiKey:
    if len(words) < 3:
        raise ValueError("it needs a tenant, scopes and a SHA-256, separated by spaces")
    tenant, scopes, digest, *options = words
    if not DIGEST.fullmatch(digest):
        raise ValueError("the third word must be a SHA-256 of 64 hex digits in lower case (not the key itself)")
    given = dict(option.partition("=")[::2] for option in options)
    if len(given) < len(options) or not given.keys() <= {"expires", "requests", "tokens"}:
        raise ValueError("after the SHA-256 come expires=, requests= and tokens=, each at most once")
    return ApiKey(
        _tenant(tenant),
        _scopes(scopes.split(",")),
        bytes.fromhex(digest),
        _moment(given["expires"]) if "expires" in given else None,
        _count(given, "requests"),
        _count(given, "tokens"),
    )


def _tenant(name: str) -> str:
    if not TENANT.fullmatch(name):
        raise ValueError("a tenant is 1 to 64 letters, digits, `.`, `_` and `-`, and begins with a letter or digit")
    return name


def _scopes(names: Iterable[str]) -> frozenset[str]:
    scopes = frozenset(names)
    if not scopes or not scopes <= SCOPES:
        raise ValueError(f"scopes are {_listed(SCOPES)}, separated by commas")
    return scopes


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expires= is a time as 2027-03-01T00:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _count(given: dict[str, str], name: str) -> int | None:
    if name not in given:
        return None
    if not (given[name].isascii() and given[name].isdigit()):
        raise ValueError(f"{name}= is a whole number a minute, 0 for no limit")
    return int(given[name])


def _listed(scopes: Iterable[str]) -> str:
    return ", ".join(sorted(scopes))
