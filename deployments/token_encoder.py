"""TokenEncoder: one replica of one text model, for the vectors of tokens."""

from typing import Any

from app.config.args import ModelArgs
from app.encoders.tokens import load_token_model
from deployments.text_encoder import STREAMS, TextEncoder


class TokenEncoder(TextEncoder):
    def _load(self, args: ModelArgs, threads: int, offline: bool) -> Any:
        return load_token_model(args, threads=threads, offline=offline, streams=STREAMS, latency_profile=True)
