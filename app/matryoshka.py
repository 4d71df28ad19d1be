"""Which models were trained so that the first numbers of a vector are a vector of their own."""

from app.settings import AppArgs
from app.types import ModelInfo

# By their cards. Others are told by `matryoshka: true` in their entry of the settings.
KNOWN = frozenset(
    {
        "alibaba-nlp/gte-modernbert-base",
        "google/embeddinggemma-300m",
        "jinaai/jina-embeddings-v3",
        "mixedbread-ai/mxbai-embed-large-v1",
        "mixedbread-ai/mxbai-embed-2d-large-v1",
        "nomic-ai/modernbert-embed-base",
        "nomic-ai/nomic-embed-text-v1.5",
        "qwen/qwen3-embedding-0.6b",
        "qwen/qwen3-embedding-4b",
        "qwen/qwen3-embedding-8b",
        "snowflake/snowflake-arctic-embed-l-v2.0",
        "snowflake/snowflake-arctic-embed-m-v1.5",
        "snowflake/snowflake-arctic-embed-m-v2.0",
    }
)


def is_trained_for_it(info: ModelInfo, args: AppArgs) -> bool:
    told = any(model.matryoshka and model.id == info.id for model in (*args.text_models, *args.image_models))
    return told or info.id.lower() in KNOWN
