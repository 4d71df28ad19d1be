import pytest

from app.config.args import ModelArgs
from app.config.settings import AppArgs
from app.service.matryoshka import KNOWN, is_trained_for_it
from tests.support.service_fakes import info_of


@pytest.mark.parametrize(
    ("id_", "known"),
    [
        ("nomic-ai/nomic-embed-text-v1.5", True),
        ("nomic-ai/nomic-embed-text-v1", False),
        ("Snowflake/snowflake-arctic-embed-m-v1.5", True),
        ("Snowflake/snowflake-arctic-embed-m", False),
        ("Qwen/Qwen3-Embedding-0.6B", True),
        ("Alibaba-NLP/gte-multilingual-base", True),
        ("Alibaba-NLP/gte-modernbert-base", False),
        ("sentence-transformers/all-MiniLM-L6-v2", False),
        ("someone/nomic-embed-text-v1.5", False),
    ],
)
def test_models_whose_cards_say_so(id_: str, known: bool) -> None:
    assert is_trained_for_it(info_of(id_), AppArgs()) == known


@pytest.mark.parametrize(
    ("configured", "served"),
    [
        ("makers/ours", "makers/ours"),
        ("all-mpnet-base-v2", "sentence-transformers/all-mpnet-base-v2"),
        ("./models/ours/", "ours"),
        ("models/ours/", "models/ours"),
        ("/srv/models/ours", "ours"),
    ],
)
def test_others_are_told_by_the_settings_under_any_name(configured: str, served: str) -> None:
    args = AppArgs(text_models=(ModelArgs(id=configured, matryoshka=True), ModelArgs(id="makers/other")))
    assert is_trained_for_it(info_of(served), args)
    assert not is_trained_for_it(info_of("makers/other"), args)
    assert not is_trained_for_it(info_of(served), AppArgs(text_models=(ModelArgs(id=configured),)))


def test_another_model_of_the_same_last_name_is_told_by_its_own_entry() -> None:
    args = AppArgs(text_models=(ModelArgs(id="ours", matryoshka=True), ModelArgs(id="makers/ours")))
    assert is_trained_for_it(info_of("ours"), args)
    assert not is_trained_for_it(info_of("makers/ours"), args)


def test_names_are_full_and_compared_in_lower_case() -> None:
    assert all(name == name.lower() and name.count("/") == 1 for name in KNOWN)
