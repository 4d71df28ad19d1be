"""The launcher: Ray, Serve and HAProxy on one machine for `python -m app`."""
