"""Which of a model's prompts goes before a request's texts."""

from app.errors import InvalidRequest
from app.types import ModelInfo, ReadOptions

# As sentence-transformers' `encode_query` and `encode_document` look for them.
INPUT_TYPES = {"query": ("query",), "document": ("document", "passage", "corpus")}


def choose(info: ModelInfo, reading: ReadOptions) -> str | None:
    """The prompt's text; None for the model's own default.

    An input type that the model has no prompt for is read as usual: such a model knows no difference.

    Raises:
        InvalidRequest: The model has no prompt of that name.
    """
    if reading.prompt_name is not None:
        if reading.prompt_name not in info.prompts:
            known = ", ".join(map(repr, info.prompts)) or "none"
            asked = reading.prompt_name[:80]
            raise InvalidRequest(f"{info.id} has no prompt {asked!r}. Known prompts: {known}.", reading.param)
        return info.prompts[reading.prompt_name]
    names = INPUT_TYPES[reading.input_type] if reading.input_type else ()
    return next((info.prompts[name] for name in names if name in info.prompts), None)
