"""Token vectors: a text in, what a text model makes of each of its tokens out, as far as the pooling."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.config.args import ModelArgs
from app.encoders import self_test
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph
from app.encoders.files import loading
from app.encoders.modules import routes
from app.encoders.text import TextModel, assembled, cache_folder, check_text_model
from app.encoders.text_layout import first_module, text_layout
from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import resolve
from app.errors import ModelUnavailable
from app.types import Rows, Vector
from app.vectors.ragged import unpack_rows


class TokenModel(TextModel):
    def run(self, batch: Sequence[Sequence[int]], *, exclusive: bool = False) -> Rows:
        """Token ids, one sequence per text -> the vectors of its tokens, as the bytes of float32."""
        out = np.full(len(batch), b"", object)
        for start, rows in self.runs(batch, exclusive=exclusive):
            for place, row in enumerate(rows, start):
                out[place] = row[: len(batch[place])].astype(np.float32, copy=False).tobytes()
        return out

    def self_test(self, *, exclusive: bool = False) -> Vector:
        texts = [text.ids for text in self.tokenize(self_test.TEXTS, "")]
        matrices = [unpack_rows(row, self.info.dimensions) for row in self.run(texts, exclusive=exclusive)]
        return np.stack([matrix.mean(axis=0) for matrix in matrices])


def load_token_model(
    args: ModelArgs, *, threads: int, offline: bool, streams: int = 1, latency_profile: bool = False
) -> TokenModel:
    """Load a text model as far as its pooling. Raises ModelUnavailable if its weights are not available, it has no
    vectors of tokens, or it fails its self-test."""
    with loading(args.id):
        weights = resolve(args.id, args.revision, offline, args.allow_bin_weights)
        check_token_model(args, weights.directory)
        cache = cache_folder(args)
        layout = text_layout(weights.directory, cache)
        first, steps = layout.first, tuple(step for step in layout.steps if step.kind.startswith("Token"))
        graph = Graph(
            directory=str(weights.directory),
            folder=str(layout.folder),
            weights=weights.sha256,
            encoder="token",
            dimensions=next((step.features[1] for step in reversed(steps) if "Dense" in step.kind), first.hidden),
            steps=steps,
            allow_bin=args.allow_bin_weights,
            max_tokens=first.max_tokens,
            segments=first.segments,
        )
        return assembled(
            *(TokenModel, "token", weights, graph),
            *(Tokenizer(first.tokenizer, first.max_tokens, layout.default_prompt), first),
            registry.options_for(args, threads, cache, streams, latency_profile),
            registry.choose(args.backend, args.device),
            [["token", *map(repr, steps), first.max_tokens, layout.default_prompt, first.segments]],
            prompts=layout.prompts | args.prompts,
        )


def check_token_model(args: ModelArgs, directory: Path) -> None:
    """Raises ModelUnavailable, as `check_text_model`."""
    check_text_model(args, directory)
    if routes(directory):
        raise ModelUnavailable("The model sends texts of different tasks different ways; its tokens can't be served.")
    if first_module(directory)[0]:
        raise ModelUnavailable("The model is a table of token vectors, which are the same in every text.")
