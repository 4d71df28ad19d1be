"""Families of models of texts and images: transformers says what they compute, this how their texts are handed over."""

from dataclasses import dataclass
from pathlib import Path

from app.encoders.modules import model_type


@dataclass(frozen=True, slots=True)
class Family:
    """`pad`: what fills the rows of shorter texts, None for the configuration's own. `whole`: every text is filled up
    to the length that the model reads, as its tokenizer does it, and the vector is that of the last place."""

    name: str
    pad: int | None = None
    whole: bool = False


# By `model_type`. Where the vector is the end token's, no end token may be looked for in the padding of a row that is
# none: 0 is the end token of no CLIP. SigLIP 2 of a fixed resolution is a `siglip`.
FAMILIES = {
    "clip": Family("CLIP", pad=0),
    "metaclip_2": Family("MetaCLIP 2", pad=0),
    "chinese_clip": Family("Chinese-CLIP"),
    "altclip": Family("AltCLIP"),
    "siglip": Family("SigLIP", whole=True),
    "siglip2": Family("SigLIP 2 NaFlex", whole=True),
}
NAMES = ", ".join(family.name for family in FAMILIES.values())


def image_family(directory: Path) -> Family | None:
    """The family of the model in a directory; None if it reads no images, or is of no family that is served."""
    return FAMILIES.get(model_type(directory))
