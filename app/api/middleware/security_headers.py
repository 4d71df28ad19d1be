"""Headers for browsers: CORS, and the security policy of the service's own pages."""

from collections.abc import Sequence
from typing import Final

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

Headers = list[tuple[bytes, bytes]]

# Only own files, nothing inline; calls only to this service; images also from data and blob URLs (users' pictures).
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
EVERYWHERE: Final[Headers] = [(b"x-content-type-options", b"nosniff")]
ON_PAGES: Final[Headers] = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
]
SHOWN: Final = [
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "server-timing",
    "traceparent",
    "x-request-id",
    *(f"x-embedding-{name}" for name in ("shape", "dtype", "model", "dimensions", "space", "tokens", "cache-hits")),
    *(f"x-embedding-{name}" for name in ("truncated", "range", "note", "ignored-fields", "max-items", "method")),
    *(f"x-ratelimit-{name}-{unit}" for name in ("limit", "remaining", "reset") for unit in ("requests", "tokens")),
]


def cross_origin(origins: Sequence[str]) -> list[Middleware]:
    """CORS middleware for pages of these origins. Pages send keys in their own code, so credentials of the browser
    (cookies, passwords) are not allowed."""
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            # Clients add headers of their own, such as OpenAI's x-stainless-*; the operator trusts these origins.
            allow_headers=["*"],
            # Chrome asks this of a service at a private address, and Starlette would refuse it.
            allow_private_network=True,
            expose_headers=SHOWN,
            max_age=600,
        )
    ]


def security_headers(given: Headers) -> Headers:
    """What is added to a response's headers, with the policy if it is HTML. Those that a route sets take precedence."""
    names = dict(given)
    wanted = EVERYWHERE + (ON_PAGES if names.get(b"content-type", b"").startswith(b"text/html") else [])
    return [(name, value) for name, value in wanted if name not in names]
