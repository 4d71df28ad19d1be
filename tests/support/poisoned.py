"""The service with a text that ends the process that encodes it, and a model that fails its self-test.

`python -m tests.support.poisoned` takes what `python -m app` takes.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import app.__main__ as command
import app.main
from app.config.args import ModelArgs
from app.encoders import self_test
from app.encoders.self_test import SelfTest
from app.types import TokenizedText, Vector
from deployments.text_encoder import TextEncoder
from tests.support.poison import DRIFTED, POISON


class PoisonedTextEncoder(TextEncoder):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        if self._texts is None:
            return
        engine, run = self._texts.engine, self._texts.engine.run
        [poison] = self._texts._model.read([POISON])  # noqa: SLF001
        assert isinstance(poison, TokenizedText)

        def run_or_die(inputs: Sequence[Any], *, exclusive: bool = False) -> Vector:
            if any(list(ids) == list(poison.ids) for ids in inputs):
                os.kill(os.getpid(), signal.SIGKILL)
            return run(inputs, exclusive=exclusive)

        setattr(engine, "run", run_or_die)  # noqa: B010

    def _load(self, args: ModelArgs, threads: int, offline: bool) -> Any:
        if args.id.endswith(DRIFTED):
            others = {name: SelfTest(wanted.texts[::-1]) for name, wanted in self_test.shipped().items()}
            setattr(self_test, "shipped", lambda: others)  # noqa: B010
        return super()._load(args, threads, offline)


def _child(argv: list[str], **options: Any) -> "subprocess.Popen[bytes]":
    return _popen([__spec__.name if part == "app" else part for part in argv], **options)


if __name__ == "__main__":
    # By its module's name, not as `__main__`: replicas import it.
    from tests.support.poisoned import PoisonedTextEncoder as Poisoned

    _popen = subprocess.Popen
    setattr(subprocess, "Popen", _child)  # noqa: B010
    prefix, _, check = app.main.ENCODERS["text"]
    app.main.ENCODERS["text"] = prefix, Poisoned, check
    sys.exit(command.main())
