"""Knows which models support shortened vectors because they were trained with Matryoshka representation learning."""

from app.config.settings import AppArgs
from app.types import ModelInfo

# According to their model cards. Others are configured with `matryoshka: true`.
_NAMES = """
alibaba-nlp/gte-multilingual-base google/embeddinggemma-300m jinaai/jina-embeddings-v3
lightonai/modernbert-embed-large mixedbread-ai/mxbai-embed-2d-large-v1 mixedbread-ai/mxbai-embed-large-v1
mixedbread-ai/mxbai-embed-xsmall-v1 neuml/pubmedbert-base-embeddings-matryoshka nomic-ai/modernbert-embed-base
nomic-ai/nomic-embed-text-v1.5 nomic-ai/nomic-embed-text-v2-moe qwen/qwen3-embedding-0.6b qwen/qwen3-embedding-4b
qwen/qwen3-embedding-8b snowflake/snowflake-arctic-embed-l-v2.0 snowflake/snowflake-arctic-embed-m-v1.5
snowflake/snowflake-arctic-embed-m-v2.0 tomaarsen/mpnet-base-nli-matryoshka
"""
KNOWN = frozenset(_NAMES.split())


def is_trained_for_it(info: ModelInfo, args: AppArgs) -> bool:
    told = any(model.matryoshka and model.name == info.id for model in args.models())
    return told or info.id.lower() in KNOWN
