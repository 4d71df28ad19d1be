"""Names of models: full, short and local ones, and which of them mean the same model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

SHORT_NAMES: Final = {
    "all-MiniLM-L6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2",
    "paraphrase-multilingual-MiniLM-L12-v2": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "msmarco-distilbert-base-v3": "sentence-transformers/msmarco-distilbert-base-v3",
    "clip-vit-base-patch32": "openai/clip-vit-base-patch32",
    "clip-vit-large-patch14": "openai/clip-vit-large-patch14",
    "CLIP-ViT-B-32-laion2B-s34B-b79K": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
}


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model's name as a person or a file wrote it: a hub id, a short name, or the path of a directory."""

    written: str

    @property
    def full(self) -> str:
        """What is loaded: the hub id behind a short name, any other name as it was written."""
        return SHORT_NAMES.get(self.written, self.written)

    @property
    def public(self) -> str:
        """What answers call the model: the full name; of a path, which is nobody's business, the directory's name."""
        return self.short if self._is_path else self.full.rstrip("/")

    @property
    def short(self) -> str:
        """The last part."""
        return self.written.rstrip("/").rsplit("/", 1)[-1]

    def means(self, other: "ModelName") -> bool:
        """Whether both load the same model: `./models/foo/` and `models/foo` do."""
        return self.full.rstrip("/").removeprefix("./") == other.full.rstrip("/").removeprefix("./")

    @property
    def _is_path(self) -> bool:
        return self.written.startswith(("/", "./", "../", "~")) or self.written.strip("/").count("/") > 1


def find(wanted: str, known: Iterable[str]) -> str | None:
    """The public name among `known` that somebody asks for as `wanted`; a full name goes before a short one."""
    if wanted in (names := list(known)):
        return wanted
    name = ModelName(wanted)
    if name.public in names:
        return name.public
    return next((each for each in names if ModelName(each).short in (wanted, name.public)), None)
