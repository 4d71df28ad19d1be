from pathlib import Path
from typing import Any

import pytest

from app.corpus.run import CorpusOptions, embed_corpus, in_process
from tests.support.corpus_fakes import CountingModel, Embed


@pytest.fixture
def model() -> CountingModel:
    return CountingModel()


@pytest.fixture
def embed(model: CountingModel) -> Embed:
    """`embed_corpus` with the counting model and small parts, without Ray."""

    def run(source: Path, destination: Path, **options: Any) -> dict[str, Any]:
        chosen = CorpusOptions(**{"part_rows": 10, **options})
        return embed_corpus(str(source), str(destination), chosen, in_process(model.load))

    return run
