"""Telemetry: metrics, traces, the request log, and how they leave the process."""
