"""Reranker: one replica of one cross-encoder, which scores pairs of texts."""

from typing import Any

from app.config.args import ModelArgs
from app.encoders.rerank import load_rerank_model
from deployments.text_encoder import STREAMS, TextEncoder


class Reranker(TextEncoder):
    def _load(self, args: ModelArgs, threads: int, offline: bool) -> Any:
        return load_rerank_model(args, threads=threads, offline=offline, streams=STREAMS, latency_profile=True)
