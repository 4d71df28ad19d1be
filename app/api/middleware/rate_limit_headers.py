"""How much is left, in headers: the IETF's fields, and those that OpenAI's clients read."""

from app.auth.quota import WINDOW_S, Remaining, seconds

Headers = list[tuple[bytes, bytes]]


def quota_headers(quotas: list[Remaining]) -> Headers:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and `x-ratelimit-*`."""
    if not quotas:
        return []
    policy = ", ".join(f'"{left.unit}";q={left.limit};w={WINDOW_S:g}' for left in quotas)
    state = ", ".join(f'"{left.unit}";r={left.remaining};t={seconds(left)}' for left in quotas)
    headers = [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]
    for left in quotas:
        for name, value in (
            ("limit", str(left.limit)),
            ("remaining", str(left.remaining)),
            ("reset", f"{left.reset_s:.3f}s"),
        ):
            headers.append((f"x-ratelimit-{name}-{left.unit}".encode(), value.encode()))
    return headers
