"""Faults put into a running service under load, counted, with every answer compared: `python -m loadtests.faults`."""
