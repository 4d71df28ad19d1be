"""Serve has no pandas, and whoever else asks for it has."""

import subprocess
import sys

import pytest

SERVE = "import {}ray.serve, sys; print('pandas' in sys.modules); import pandas; print(pandas.DataFrame.__name__)"


@pytest.mark.parametrize(("first", "has"), [("app.local.lean_serve, ", "False"), ("", "True")])
def test_serve_has_no_pandas_and_others_have(first: str, has: str) -> None:
    """Without this module Serve takes it along: once that is no longer so, the module can go."""
    done = subprocess.run(
        [sys.executable, "-c", SERVE.format(first)], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == [has, "DataFrame"]
