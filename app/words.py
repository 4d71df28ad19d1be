"""The words that settings, keys and requests are written in. No logic and no library: the launcher and the actors read
settings without loading numpy, which `app.types` needs."""

from typing import Literal

Modality = Literal["text", "image"]
Kind = Literal["text", "image", "rerank", "sparse", "token"]
"""What a model makes: the vector of a text or an image, scores of a pair, a text's sparse or token vectors."""
Cut = Literal["end", "start"]
ChunkBy = Literal["tokens", "sentences"]
KeyScope = Literal["embed", "read", "admin"]
"""What an API key may do: embed, read status, or change shared state."""
