"""Chooses the prompt of a request's texts."""

from app.errors import InvalidRequest, did_you_mean
from app.types import ModelInfo, ReadOptions

# The prompt names that sentence-transformers' `encode_query` and `encode_document` try, and those of other tasks.
INPUT_TYPES = {
    "query": ("query",),
    "document": ("document", "passage", "corpus"),
    "classification": ("Classification",),
    "clustering": ("Clustering", "separation"),
    "text-matching": ("STS",),
}
# What other APIs call these tasks.
_ALSO = {
    **dict.fromkeys(("search_query", "retrieval.query", "code.query"), "query"),
    **dict.fromkeys(("passage", "search_document", "retrieval.passage", "code.passage"), "document"),
    "separation": "clustering",
}


def task_of(input_type: str | None) -> str | None:
    """The task that an input type of any API stands for."""
    return _ALSO.get(input_type or "", input_type)


def choose(info: ModelInfo, reading: ReadOptions) -> str | None:
    """The prompt's text; None: the model's default. Raises InvalidRequest if the model has no prompt of that name.

    A prompt of an input type's own name goes first. An input type without a prompt is ignored: such a model does not
    distinguish queries and documents.
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
    names = (reading.input_type, *INPUT_TYPES.get(task_of(reading.input_type) or "", ()))
    return next((info.prompts[name] for name in names if name in info.prompts), None)
