"""Dispatch: how a call finds a replica. Coalescing, admission control, load shedding, retries and timeouts. No Ray."""
