"""`RemoteEncoder` over a handle of this test's own. The imports of Ray warn, and warnings are errors here."""

import asyncio
import warnings
from typing import Any

import numpy as np

from app.cache.entry import pack
from app.config.args import Limits, RetryArgs
from app.dispatch.retry_budget import RetryBudget
from tests.support.aio import Clock, run

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from deployments.messages import EncodeReply
    from deployments.remote_encoder import RemoteEncoder


class Handle:
    """Every call is answered at once; by the clock it was under way for 20 s, 0.1 s of them at a replica."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def options(self, **_: Any) -> "Handle":
        return self

    async def remote(self, items: list[str], *_: Any) -> EncodeReply:
        self._clock.now += 20
        packed = pack(np.ones((len(items), 2), np.float32), [1] * len(items), [False] * len(items))
        return EncodeReply(packed, {}, "f", "r1", 0.0, 0.0, 100.0, 100.0, 1)


def test_while_no_replica_was_there_the_model_was_not_slow() -> None:
    async def main() -> None:
        clock = Clock()
        handle: Any = Handle(clock)
        encoder = RemoteEncoder("m", ("text",), handle, Limits(), RetryBudget(RetryArgs()), batch_size=1)
        admission = encoder._texts.admission  # noqa: SLF001 - its clock is no argument of the encoder
        admission.clock = clock
        futures = [encoder.encode_texts([text])[0] for text in ("a", "b", "c")]
        assert [len(encoded.entry) > 0 for encoded in await asyncio.gather(*futures)] == [True] * 3  # type: ignore[arg-type]
        assert admission.rate > 1000  # 20 units a second, if the whole 20 s counted

    run(main())
