from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.schemas.validation import as_invalid_request


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    texts: list[str]


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    texts: list[str] = Field(min_length=1)
    batch_size: int = Field(1, alias="batchSize", ge=1)
    name: str = Field("x", min_length=1)
    inner: Inner | None = None


def complaint(body: str) -> tuple[str, str | None]:
    with pytest.raises(ValidationError) as error:
        Order.model_validate_json(body)
    refused = as_invalid_request(error.value, Order)
    assert refused.status == 400
    return refused.message, refused.param


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        ("[]", "The body must be a JSON object.", None),
        ('"x"', "The body must be a JSON object.", None),
        ("{}", "`texts` is missing.", "texts"),
        ('{"texts": "hi"}', '`texts` must be a list: send ["hi"] instead of a bare string.', "texts"),
        ('{"texts": 5}', "`texts` must be a list.", "texts"),
        ('{"texts": {}}', "`texts` must be a list.", "texts"),
        ('{"texts": []}', "`texts` must not be empty.", "texts"),
        ('{"texts": ["a", 5]}', "`texts.1` must be a string, not a number.", "texts.1"),
        ('{"texts": [1.5]}', "`texts.0` must be a string, not a number.", "texts.0"),
        ('{"texts": [null]}', "`texts.0` must be a string, not null.", "texts.0"),
        ('{"texts": [true]}', "`texts.0` must be a string, not a boolean.", "texts.0"),
        ('{"texts": [[]]}', "`texts.0` must be a string, not a list.", "texts.0"),
        ('{"texts": [{}]}', "`texts.0` must be a string, not an object.", "texts.0"),
        ('{"texts": ["a"], "name": ""}', "`name` must not be empty.", "name"),
        ('{"texts": ["a"], "inner": 5}', "`inner` must be a JSON object.", "inner"),
        (
            '{"texts": ["a"], "inner": {"texts": [5]}}',
            "`inner.texts.0` must be a string, not a number.",
            "inner.texts.0",
        ),
        (
            '{"texts": ["a"], "batchSiez": 5}',
            (
                "`batchSiez` is not a field of this request. Known fields: batchSize, inner, name, texts. "
                "Did you mean `batchSize`?"
            ),
            "batchSiez",
        ),
        (
            '{"texts": ["a"], "batchSize": 0}',
            "`batchSize`: Input should be greater than or equal to 1.",
            "batchSize",
        ),
    ],
)
def test_a_complaint_names_the_field_and_what_to_do(body: str, message: str, param: str | None) -> None:
    assert complaint(body) == (message, param)


@pytest.mark.parametrize("body", ["", "{", '{"texts": [}', "nonsense", '{"texts": ["\\ud800"]}'])
def test_what_is_not_json_is_said_to_be_that(body: str) -> None:
    message, param = complaint(body)
    assert message.startswith("The body is not valid JSON: ")
    assert message.endswith(".")
    assert param is None


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("it's", '["it\'s"]'),
        ('say "a"', '["say \\"a\\""]'),
        ("ä\n", '["ä\\n"]'),
        ("x" * 40, f'["{"x" * 40}"]'),
        ("x" * 41, f'["{"x" * 40}…"]'),
    ],
)
def test_what_is_shown_can_be_sent(text: str, shown: str) -> None:
    with pytest.raises(ValidationError) as error:
        Order.model_validate({"texts": text})
    assert as_invalid_request(error.value, Order).message == (
        f"`texts` must be a list: send {shown} instead of a bare string."
    )


def test_a_lone_surrogate_in_a_string() -> None:
    with pytest.raises(ValidationError) as error:
        Order.model_validate({"texts": ["a"], "name": "\ud800"})
    assert as_invalid_request(error.value, Order).message == "`name` is not valid Unicode (a lone surrogate)."


def test_only_the_first_of_many_complaints() -> None:
    assert complaint('{"texts": [1, 2], "batchSize": 0}')[1] == "texts.0"


def test_the_field_that_held_it_goes_before() -> None:
    for data, param in (({}, "items.7.texts"), (5, "items.7")):
        with pytest.raises(ValidationError) as error:
            Inner.model_validate(data)
        refused = as_invalid_request(error.value, Inner, "items.7")
        assert refused.param == param
        assert refused.message.startswith(f"`{param}` ")


def test_values_of_other_types_are_named_by_type() -> None:
    given: Any = b"bytes"
    with pytest.raises(ValidationError) as error:
        Order.model_validate({"texts": ["a"], "name": given})
    assert as_invalid_request(error.value, Order).message == "`name` must be a string, not bytes."
