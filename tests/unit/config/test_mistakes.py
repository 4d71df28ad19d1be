import pytest

from app.config.mistakes import unknown_variables


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TEXT_MODL", "TEXT_MODEL"),
        ("TEXTMODEL", "TEXT_MODEL"),
        ("EMBEDDING_TEXT_MODEL", "TEXT_MODEL"),
        ("EMBEDDINGS_TEXT_MODL", "TEXT_MODEL"),
        ("TEXT_EMBEDDING_MODEL", "TEXT_MODEL"),
        ("EMBEDDING_IMAGE_MODEL", "IMAGE_MODEL"),
        ("EMBEDDINGS_MODEL", "TEXT_MODEL"),
        ("EMBEDDING_MODEL_NAME", "TEXT_MODEL"),
        ("EMBED_MODEL", "TEXT_MODEL"),
        ("MODEL", "TEXT_MODEL"),
        ("MODELS", "TEXT_MODEL"),
        ("MODEL_ID", "TEXT_MODEL"),
        ("MODEL_NAME", "TEXT_MODEL"),
        ("TEXT_MODEL_ID", "TEXT_MODEL"),
        ("INFINITY_MODEL_ID", "TEXT_MODEL"),
        ("INFINITY_BATCH_SIZE", "BATCH_SIZE"),
        ("MAX_BATCH_SIZE", "BATCH_SIZE"),
        ("EMBEDDING_SERVICE_PORT", "PORT"),
        ("EMBEDDING_CACHE_TTL", "CACHE_TTL"),
        ("CACHE_SIZE", "CACHE_MAX_SIZE"),
        ("RERANKER_MODEL", "RERANK_MODEL"),
        ("API_KEY", "API_KEYS_FILE"),
        ("API_KEYS", "API_KEYS_FILE"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("PORTS", "PORT"),
    ],
)
def test_a_name_like_ours_is_answered_with_ours(name: str, meant: str) -> None:
    said = f".env: {name} is not a setting and has no effect. Did you mean `{meant}`?"
    assert list(unknown_variables([name])) == [said]


def test_a_name_in_our_manner_is_told_without_a_guess() -> None:
    assert list(unknown_variables(["CACHE_ENABLED"])) == [".env: CACHE_ENABLED is not a setting and has no effect."]


@pytest.mark.parametrize(
    "name",
    [
        *("HF_TOKEN", "HF_HOME", "OTEL_LOGS_EXPORTER", "RAY_TMPDIR", "OPENAI_API_KEY", "OPENAI_EMBEDDING_MODEL"),
        *("DB_HOST", "DB_PORT", "PGHOST", "PGPORT", "MYSQL_PORT", "REDIS_URL", "DATABASE_URL", "HOSTNAME", "AUTHOR"),
        *("RAG_EMBEDDING_MODEL", "RAG_MODEL", "LLM_MODEL", "CHAT_MODEL", "OLLAMA_MODEL", "SERVICE_NAME", "LOG_LEVEL"),
        *("DEBUG", "SECRET_KEY", "AWS_ACCESS_KEY_ID", "COMPOSE_PROJECT_NAME", "NODE_ENV", "PATH", "TZ"),
        *("TEXT_MODEL", "PORT", "EMBEDDING_URL", "EMBEDDING_API_KEY"),
    ],
)
def test_names_of_others_and_ours_are_no_mistakes(name: str) -> None:
    assert list(unknown_variables([name])) == []
