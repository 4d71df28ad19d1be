"""The TypeScript client's types are of today's OpenAPI document. That they are what its generator writes is a slow
test's to say, which needs Node."""

from docs import typescript


def test_the_types_are_of_this_document() -> None:
    with (typescript.FOLDER / typescript.TYPES).open(encoding="utf-8") as file:
        assert file.readline() == typescript.mark(), "out of date: make client-types"


def test_no_title_or_response_header_is_in_them_but_every_description() -> None:
    text = typescript.described().decode()
    assert '"title": "' not in text.partition('"schemas"')[2]
    assert '"x-request-id"' not in text
    assert "1 to 2,048 texts." in text
