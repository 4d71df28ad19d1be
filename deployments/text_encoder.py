"""TextEncoder: one replica of one text model."""

from app.config.args import ModelArgs
from app.encoders.text import TextModel, load_text_model
from app.types import ModelInfo
from deployments.encoder_replica import EncoderReplica

# Two streams keep each other's CPUs busy. With more, each would have few threads, and memory of its own.
STREAMS = 2


class TextEncoder(EncoderReplica):
    def _load(self, args: ModelArgs, threads: int, offline: bool) -> TextModel:
        return load_text_model(args, threads=threads, offline=offline, streams=STREAMS, latency_profile=True)

    def _begin(self, model: TextModel, info: ModelInfo) -> None:
        self._begin_texts(model, info)
