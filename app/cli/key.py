"""`python -m app key`: makes an API key. Nothing is stored here; the line goes into the operator's file."""

import time
from collections.abc import Callable

from app.auth import api_keys

DAY_S = 86_400
MOST_DAYS = 36_500


def run(
    tenant: str, scopes: str, days: float | None, say: Callable[[str], None], complain: Callable[[str], int]
) -> int:
    """Shows the key, once, and its line; the exit code."""
    if days is not None and not 0 < days <= MOST_DAYS:
        return complain(f"--days must be more than 0 and at most {MOST_DAYS:,}.")
    try:
        secret, key = api_keys.make(tenant, scopes.split(","), None if days is None else time.time() + days * DAY_S)
    except ValueError as error:
        return complain(f"{error}.")
    say("The key, which is kept nowhere and can't be shown again:")
    say(f"  {secret}")
    say("Its line, for the file that API_KEYS_FILE names (running services read it within seconds):")
    say(f"  {key.line}")
    return 0
