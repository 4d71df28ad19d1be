"""Token vectors: a text in, what a text model makes of each of its tokens out, as far as the pooling; or a ColBERT."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from app.config.args import ModelArgs
from app.encoders import self_test
from app.encoders.backends import registry
from app.encoders.backends.contract import Graph
from app.encoders.colbert import TASKS, ColbertLayout, ColbertTokenizer, MarkedIds, check_colbert, colbert_layout
from app.encoders.files import loading
from app.encoders.modules import routes
from app.encoders.refusal import is_colbert
from app.encoders.text import TextModel, assembled, cache_folder, check_text_model
from app.encoders.text_layout import TextLayout, first_module, text_layout
from app.encoders.tokenizer import Tokenizer
from app.encoders.weights import check, resolve
from app.errors import ModelUnavailable
from app.types import Prompted, Rows, TextInput, TokenizedText, Vector
from app.vectors.ragged import unpack_rows


class TokenModel(TextModel):
    def run(self, batch: Sequence[Sequence[int]], *, exclusive: bool = False) -> Rows:
        """Token ids, one sequence per text -> the vectors of its tokens, as the bytes of float32."""
        out = np.full(len(batch), b"", object)
        for start, rows in self.runs(batch, exclusive=exclusive):
            for place, row in enumerate(rows, start):
                ids = batch[place]
                kept = ids.kept if isinstance(ids, MarkedIds) else slice(len(ids))
                out[place] = row[kept].astype(np.float32, copy=False).tobytes()
        return out

    def counts(self, inputs: Sequence[TextInput]) -> list[int]:
        """How many vectors each has; 0 of what can't be read."""
        ids = [one.ids if isinstance(one, TokenizedText) else () for one in self.read(inputs)]
        return [len(one.kept if isinstance(one, MarkedIds) else one) for one in ids]

    def self_test(self, *, exclusive: bool = False) -> Vector:
        asked = [Prompted(text, "", task=task) for task in self.info.routes or (None,) for text in self_test.TEXTS]
        texts = [text.ids for text in self.read(asked) if isinstance(text, TokenizedText)]
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
        read = colbert_layout if is_colbert(weights.directory) else text_layout
        layout: ColbertLayout | TextLayout = read(weights.directory, cache)
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
        settings = ["token", *map(repr, steps), first.max_tokens, layout.default_prompt, first.segments]
        tokenizer, tasks = Tokenizer(first.tokenizer, first.max_tokens, layout.default_prompt), TASKS[:0]
        if isinstance(layout, ColbertLayout):
            tokenizer, tasks = ColbertTokenizer(first.tokenizer, layout.reading, layout.default_prompt), TASKS
            settings.append(repr(layout.reading))
        options = registry.options_for(args, threads, cache, streams, latency_profile)
        return assembled(
            *(TokenModel, "token", weights, graph, tokenizer, first, options),
            *(registry.choose(args.backend, args.device), [settings]),
            prompts=layout.prompts | args.prompts,
            tasks=tasks,
        )


def check_token_model(args: ModelArgs, directory: Path) -> None:
    """Raises ModelUnavailable, as `check_text_model`."""
    if is_colbert(directory):
        check(directory, args.allow_bin_weights)
        check_colbert(directory)
    else:
        check_text_model(args, directory)
    if routes(directory):
        raise ModelUnavailable("The model sends texts of different tasks different ways; its tokens can't be served.")
    if first_module(directory)[0]:
        raise ModelUnavailable("The model is a table of token vectors, which are the same in every text.")
