"""`python -m app key`: creates an API key. It stores nothing; the operator puts the printed line into the key file."""

import time
from collections.abc import Callable

from app.auth import api_keys

DAY_S = 86_400
MAX_DAYS = 36_500


def run(
    tenant: str, scopes: str, days: float | None, print_line: Callable[[str], None], fail: Callable[[str], int]
) -> int:
    """Print the key and its line; return the exit code."""
    if days is not None and not 0 < days <= MAX_DAYS:
        return fail(f"--days must be more than 0 and at most {MAX_DAYS:,}.")
    try:
        secret, key = api_keys.make(tenant, scopes.split(","), None if days is None else time.time() + days * DAY_S)
    except ValueError as error:
        return fail(f"{error}.")
    print_line("The key, which is not stored and can't be shown again:")
    print_line(f"  {secret}")
    print_line("Its line for the file that API_KEYS_FILE names (running services reload it within seconds):")
    print_line(f"  {key.line}")
    return 0
