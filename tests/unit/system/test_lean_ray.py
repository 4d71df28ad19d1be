"""Ray's own modules have no pandas and no Arrow, and whoever else asks for them has."""

import subprocess
import sys

import pytest

SERVE = "import {}ray.serve, sys; print('pandas' in sys.modules); import pandas; print(pandas.DataFrame.__name__)"
# What each of Ray's workers does when it starts.
WORKER = """
import {}ray, sys
from ray.util.serialization_addons import apply
apply(ray._private.serialization.SerializationContext(None))
print('pyarrow' in sys.modules)
import pyarrow
print(pyarrow.Table.__name__)
"""
# Of Ray's own modules those that Ray Data imports ask for Arrow as well.
DATA = """
import sys, app.system.lean_ray, ray.data
for name in [name for name in sys.modules if name.partition('.')[0] == 'pyarrow']:
    del sys.modules[name]
exec('import pyarrow', {'__name__': 'ray.air.some'})
print('pyarrow' in sys.modules)
"""


def run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout.split()


@pytest.mark.parametrize(("first", "has"), [("app.system.lean_ray, ", "False"), ("", "True")])
def test_ray_has_neither_and_others_have(first: str, has: str) -> None:
    """Without this module Ray takes them along: once that is no longer so, the module can go."""
    assert run(SERVE.format(first)) == [has, "DataFrame"]
    assert run(WORKER.format(first)) == [has, "Table"]


def test_ray_data_has_arrow() -> None:
    assert run(DATA) == ["True"]
