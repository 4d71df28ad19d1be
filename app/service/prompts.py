"""Chooses the prompt of a request's texts."""

from app.errors import InvalidRequest, did_you_mean
from app.types import ModelInfo, ReadOptions

# The prompt names that sentence-transformers' `encode_query` and `encode_document` try.
INPUT_TYPES = {"query": ("query",), "document": ("document", "passage", "corpus")}


def choose(info: ModelInfo, reading: ReadOptions) -> str | None:
    """The prompt's text; None: the model's default. Raises InvalidRequest if the model has no prompt of that name.

    An input type without a prompt is ignored: such a model does not distinguish queries and documents.
    """
    if reading.prompt_name is not None:
        if reading.prompt_name not in info.prompts:
            known = ", ".join(map(repr, info.prompts)) or "none"
            name = reading.prompt_name[:80]
            raise InvalidRequest(
                f"{info.id} has no prompt {name!r}. Known prompts: {known}.{did_you_mean(name, info.prompts)}",
                reading.param,
            )
        return info.prompts[reading.prompt_name]
    names = INPUT_TYPES[reading.input_type] if reading.input_type else ()
    return next((info.prompts[name] for name in names if name in info.prompts), None)
