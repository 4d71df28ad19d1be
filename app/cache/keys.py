"""Cache keys: 16 bytes that name a tenant, a model fingerprint, a kind and a content. Nothing stored."""

from hashlib import blake2b

_DIGEST_BYTES = 16  # 128 bits: a chance collision needs about 2**64 entries
_VERSION = b"embed-key-v1"  # sets these digests apart from any other use of the hash; change it to start afresh


class KeyMaker:
    """Keys for the contents of one tenant, model and kind, with the shared fields hashed once. `kind` says what the
    content is and how it is read: "text", "image", a text behind a prompt.

    Each shared field is preceded by its length, and the content is hashed apart from them, so no two splits
    of the same bytes into fields give the same key.
    """

    __slots__ = ("_seeded",)

    def __init__(self, tenant: str, fingerprint: str, kind: str) -> None:
        scope = blake2b(digest_size=32, person=_VERSION)
        for field in (tenant, fingerprint, kind):
            data = _utf8(field)
            scope.update(len(data).to_bytes(8, "big"))
            scope.update(data)
        # As salt and personalisation the scope is part of the initial state: each key then costs the hash of
        # its content alone, where a prefix would cost one more block every time.
        seed = scope.digest()
        self._seeded = blake2b(digest_size=_DIGEST_BYTES, salt=seed[:16], person=seed[16:])

    def content(self, content: bytes) -> bytes:
        """16-byte key of raw content, e.g. an image file."""
        state = self._seeded.copy()
        state.update(content)
        return state.digest()

    def text(self, text: str) -> bytes:
        """16-byte key of a text, equal to that of its UTF-8 bytes. Texts are not normalised."""
        return self.content(_utf8(text))

    def texts(self, *texts: str) -> bytes:
        """16-byte key of texts that belong together. Each is preceded by its length, as the shared fields are."""
        return self.content(b"".join(len(data).to_bytes(8, "big") + data for data in map(_utf8, texts)))


def _utf8(text: str) -> bytes:
    # Lone surrogates are legal in JSON strings; a key must exist for them, and a different one for each.
    return text.encode("utf-8", "surrogatepass")
