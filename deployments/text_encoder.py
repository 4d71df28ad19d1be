"""TextEncoder: one replica of one text model."""

from functools import partial

from app.config.args import Backup, ModelArgs, TracingArgs
from app.encoders import load_text_model
from app.telemetry.tracing import OFF
from deployments.encoder_replica import EncoderReplica

# Two streams keep each other's CPUs busy. With more, each would have few threads, and memory of its own.
STREAMS = 2


class TextEncoder(EncoderReplica):
    def __init__(
        self,
        args: ModelArgs,
        threads: int,
        offline: bool,
        backup: Backup | None = None,
        traces: TracingArgs = OFF,
    ) -> None:
        super().__init__(args, traces)
        load = partial(load_text_model, threads=threads, offline=offline, streams=STREAMS, latency_profile=True)
        if (model := self._load(load, backup)) is not None:
            self._begin(model, model.info)
