import pytest

from app.config.model_names import ModelName, find

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.mark.parametrize(
    ("written", "full", "public", "short"),
    [
        (MINILM, MINILM, MINILM, "all-MiniLM-L6-v2"),
        ("all-MiniLM-L6-v2", MINILM, MINILM, "all-MiniLM-L6-v2"),
        ("owner/name", "owner/name", "owner/name", "name"),
        ("models/foo", "models/foo", "models/foo", "foo"),
        ("models/foo/", "models/foo/", "models/foo", "foo"),
        ("./models/foo/", "./models/foo/", "foo", "foo"),
        ("foo", "foo", "foo", "foo"),
        ("/srv/models/foo", "/srv/models/foo", "foo", "foo"),
        ("srv/models/foo", "srv/models/foo", "foo", "foo"),
    ],
)
def test_forms_of_a_name(written: str, full: str, public: str, short: str) -> None:
    name = ModelName(written)
    assert (name.full, name.public, name.short) == (full, public, short)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("all-MiniLM-L6-v2", MINILM, True),
        ("./models/foo/", "models/foo", True),
        ("/models/foo/", "/models/foo", True),
        ("a/foo", "b/foo", False),
        ("/models/foo", "models/foo", False),
        ("foo", "a/foo", False),
    ],
)
def test_names_of_one_model(one: str, other: str, same: bool) -> None:
    assert ModelName(one).means(ModelName(other)) is same
    assert ModelName(other).means(ModelName(one)) is same


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("a/foo", "a/foo"),
        ("b/foo", "b/foo"),
        ("foo", "a/foo"),  # the first that was configured
        ("./models/bar/", "bar"),
        ("all-MiniLM-L6-v2", MINILM),
        (MINILM, MINILM),
        ("c/foo", None),
        ("", None),
    ],
)
def test_the_model_that_is_asked_for(wanted: str, found: str | None) -> None:
    assert find(wanted, ["a/foo", "b/foo", "bar", MINILM]) == found


@pytest.mark.parametrize("served", ["Xenova/all-MiniLM-L6-v2", "models/all-MiniLM-L6-v2"])
def test_a_known_short_name_may_be_another_owners_model(served: str) -> None:
    assert find("all-MiniLM-L6-v2", [served]) == served
    assert find("all-MiniLM-L6-v2", [served, MINILM]) == MINILM
