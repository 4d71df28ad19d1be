"""SparseEncoder: one replica of one sparse encoder."""

from typing import Any

from app.config.args import ModelArgs
from app.encoders.sparse import load_sparse_model
from deployments.text_encoder import STREAMS, TextEncoder


class SparseEncoder(TextEncoder):
    def _load(self, args: ModelArgs, threads: int, offline: bool) -> Any:
        return load_sparse_model(args, threads=threads, offline=offline, streams=STREAMS, latency_profile=True)
