"""Writes the remaining quotas into headers: the IETF's fields, and those that OpenAI's clients read."""

from app.auth.quota import WINDOW_S, Remaining, seconds

Headers = list[tuple[bytes, bytes]]


def quota_headers(quotas: list[Remaining]) -> Headers:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), and `x-ratelimit-*`."""
    if not quotas:
        return []
    policy = ", ".join(f'"{quota.unit}";q={quota.limit};w={WINDOW_S:g}' for quota in quotas)
    state = ", ".join(f'"{quota.unit}";r={quota.remaining};t={seconds(quota)}' for quota in quotas)
    headers = [(b"ratelimit-policy", policy.encode()), (b"ratelimit", state.encode())]
    for quota in quotas:
        for name, value in (
            ("limit", str(quota.limit)),
            ("remaining", str(quota.remaining)),
            ("reset", f"{quota.reset_s:.3f}s"),
        ):
            headers.append((f"x-ratelimit-{name}-{quota.unit}".encode(), value.encode()))
    return headers
