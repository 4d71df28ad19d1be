"""Texts -> token ids, straight through the `tokenizers` library; no padding, no tensors. Ids that a client sends must
begin and end as this tokenizer's do: another's would give a meaningless vector."""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from app.encoders.chunking import chunks
from app.encoders.files import reading
from app.encoders.late import Window, token_spans, windows
from app.encoders.long_texts import as_far_as_read
from app.errors import InvalidItem, InvalidRequest, ModelUnavailable
from app.types import Pair, Prompted, Span, TextInput, Token, TokenIds, TokenizedText
from app.words import ChunkBy, Cut

# So few characters are tokenised faster one text after the other: the library's own threads cost more than they save,
# and compete for CPUs with the model's.
FEW_CHARACTERS = 4096
DEFAULT_SIZE = 512  # of a chunk

FOREIGN = (
    "Send texts, or ids made by this model's own tokenizer with its special tokens. "
    "LangChain's OpenAIEmbeddings sends OpenAI's ids unless it is made with check_embedding_ctx_length=False."
)


class Tokenizer:
    """A model's tokenizer. Thread-safe.

    Args:
        max_tokens: Longer texts are cut to this many tokens, special ones included, at the side that the file says.
        prompt: Put before every text unless the caller gives another.
        special: Whether to put the special tokens around a text.
        mark_prompt: Ids of a prompt, which the pooling leaves out, are inverted: `~id`.
    """

    def __init__(
        self, file: Path, max_tokens: int, prompt: str = "", *, special: bool = True, mark_prompt: bool = False
    ) -> None:
        if max_tokens < 1:
            raise ModelUnavailable(f"The model's files let it read {max_tokens} tokens (model_max_length): none fits.")
        with reading(file):
            content = file.read_text(encoding="utf-8")
            if not special:
                content = json.dumps(json.loads(content) | {"post_processor": None})
            backend = Backend.from_str(content)
        backend.no_padding()
        side = (backend.truncation or {}).get("direction", "right")
        backend.enable_truncation(max_tokens, direction=side)
        self.cut: Cut = "start" if side == "left" else "end"
        self.vocabulary = backend.get_vocab_size()
        self._max_tokens = max_tokens
        self._prompt = prompt
        self._backend = backend
        # Does not track offsets, which nobody asks for.
        self._encode = as_far_as_read(backend, backend.encode_batch_fast, max_tokens, left=side == "left")
        self._begin, self._end = _special_tokens(backend)
        self._marked = lru_cache(64)(self._length) if mark_prompt else None

    def __call__(self, texts: Sequence[str], prompt: str | None = None) -> list[TokenizedText]:
        """Texts -> ids, in order. `prompt`: before every text; None for the model's own default, "" for none."""
        return self._tokenized(self._encode, texts, prompt)

    def read(self, inputs: Sequence[TextInput]) -> list[TokenizedText | InvalidItem]:
        """One outcome per input, in order; only token ids can be wrong."""
        if all(isinstance(one, str) for one in inputs):
            return [*self([one for one in inputs if isinstance(one, str)])]
        return [self._read(one) for one in inputs]

    def tokens(self, texts: Sequence[str], prompt: str | None, special: bool) -> list[list[Token]]:
        """What each text is made of, behind its prompt and uncut; `special`: with the tokens around it."""
        prefix = self._prompt if prompt is None else prompt
        whole = [prefix + text for text in texts]
        encodings = self._uncut.encode_batch(whole, add_special_tokens=special)
        return [_tokens(encoding, text) for encoding, text in zip(encodings, whole, strict=True)]

    def decode(self, arrays: Sequence[Sequence[int]], names: Sequence[str], skip_special: bool) -> list[str]:
        """The text of each array of ids. Raises InvalidItem naming the first that has an unknown id."""
        for ids, name in zip(arrays, names, strict=True):
            if unknown := [id_ for id_ in ids if self._backend.id_to_token(id_) is None]:
                raise InvalidItem(f"`{name}` has the id {unknown[0]}, which is none of this model's tokens.", name)
        return self._backend.decode_batch(arrays, skip_special_tokens=skip_special)

    def chunks(
        self, texts: Sequence[str], size: int | None, overlap: int, by: ChunkBy, prompt: str | None, most: int
    ) -> list[list[Span]]:
        """Spans of each text's chunks, at most `most` and one more of all. `size` does not count special tokens and the
        prompt; None: as many as the model reads, at most 512. Raises InvalidRequest where the model reads fewer."""
        prefix = self._prompt if prompt is None else prompt
        around = len(self._uncut.encode(prefix).ids)
        if (size or 1) > (room := self._max_tokens - around):
            raise InvalidRequest(
                f"`size` must be at most {room}: with {around} around a text, more would be cut.", "size"
            )
        size = size or min(room, DEFAULT_SIZE)
        if overlap >= size:
            raise InvalidRequest(f"`overlap` must be less than `size`, which is {size}.", "overlap")

        def fits(piece: str) -> bool:
            return len(self._uncut.encode(prefix + piece).ids) <= size + around

        found: list[list[Span]] = []
        for text in texts:
            spans = chunks(text, self._uncut.encode(text, add_special_tokens=False).offsets, size, overlap, by, fits)
            found.append([*islice(spans, max(0, most + 1 - sum(map(len, found))))])
        return found

    def windows(self, text: str, spans: Sequence[Span], prompt: str | None) -> list[Window]:
        """The parts of a text in which its chunks are read. Raises InvalidItem naming the chunk that can't be."""
        prefix = self._prompt if prompt is None else prompt
        encoding = self._uncut.encode(prefix + text, add_special_tokens=False)
        skipped = sum(stop <= len(prefix) for _, stop in encoding.offsets) if prefix else 0
        before, ids = [*self._begin, *encoding.ids[:skipped]], encoding.ids[skipped:]
        places = [(start - len(prefix), stop - len(prefix)) for start, stop in encoding.offsets[skipped:]]
        of_tokens = token_spans(spans, places)
        room = self._max_tokens - len(before) - len(self._end)
        return [
            Window(
                [*before, *ids[start:end], *self._end],
                [(of_tokens[i][0] + moved, of_tokens[i][1] + moved) for i in chosen],
                chosen,
            )
            for (start, end), chosen in windows(of_tokens, len(ids), room)
            for moved in [len(before) - start]
        ]

    # Made when first asked for: most replicas never are.
    @cached_property
    def _encode_otherwise(self) -> Any:
        """Cuts at the other side."""
        other, left = Backend.from_str(self._backend.to_str()), self.cut == "end"
        other.enable_truncation(self._max_tokens, direction="left" if left else "right")
        return as_far_as_read(other, other.encode_batch_fast, self._max_tokens, left=left)

    @cached_property
    def _uncut(self) -> Backend:
        other = Backend.from_str(self._backend.to_str())
        other.no_truncation()
        return other

    def _read(self, one: TextInput) -> TokenizedText | InvalidItem:
        if isinstance(one, TokenIds):
            return self._checked(one.ids)
        if isinstance(one, Pair):
            return InvalidItem("This model reads one text at a time, no pairs: a reranker does.")
        plain = Prompted(one) if isinstance(one, str) else one
        encode = self._encode if plain.cut in (None, self.cut) else self._encode_otherwise
        return self._tokenized(encode, [plain.text], plain.prompt)[0]

    def _checked(self, ids: Sequence[int]) -> TokenizedText | InvalidItem:
        begin, end = self._begin, self._end
        if not begin and not end:
            return InvalidItem(f"This model's tokenizer marks no ends, so ids can't be told from others'. {FOREIGN}")
        whole = len(ids) >= len(begin) + len(end)
        if not whole or (*ids[: len(begin)],) != begin or (*ids[len(ids) - len(end) :],) != end:
            shape = " … ".join(["".join(f"[{id_}]" for id_ in part) for part in (begin, end) if part])
            return InvalidItem(f"These token ids don't begin and end as this model's do ({shape}). {FOREIGN}")
        if not all(0 <= id_ < self.vocabulary for id_ in ids):
            return InvalidItem(f"A token id is not below {self.vocabulary}, the size of the vocabulary. {FOREIGN}")
        if len(ids) > self._max_tokens:
            return InvalidItem(f"{len(ids)} token ids; this model reads at most {self._max_tokens}.")
        return TokenizedText(ids=ids, truncated=False)

    def _tokenized(self, encode: Any, texts: Sequence[str], prompt: str | None) -> list[TokenizedText]:
        prefix = self._prompt if prompt is None else prompt
        whole = [prefix + text for text in texts] if prefix else list(texts)
        encodings = encode(whole) if sum(map(len, whole)) > FEW_CHARACTERS else [encode([text])[0] for text in whole]
        # What does not fit is kept aside as "overflowing", so its presence is the exact answer.
        found = [TokenizedText(ids=one.ids, truncated=bool(one.overflowing)) for one in encodings]
        if skipped := self._marked(prefix) if self._marked and prefix else 0:
            return [replace(one, ids=[*(~id_ for id_ in one.ids[:skipped]), *one.ids[skipped:]]) for one in found]
        return found

    def _length(self, prompt: str) -> int:
        """How many tokens a prompt has, as sentence-transformers counts them: without the last if it is special."""
        encoding = self._backend.encode(prompt)
        return len(encoding.ids) - int(encoding.special_tokens_mask[-1]) if encoding.ids else 0


def _tokens(encoding: Any, text: str) -> list[Token]:
    places = [0, *accumulate(len(character.encode()) for character in text)]
    parts = zip(encoding.ids, encoding.tokens, encoding.special_tokens_mask, encoding.offsets, strict=True)
    return [
        Token(id_, name, True, None, None)
        if special
        else Token(id_, text[start:stop], False, places[start], places[stop])
        for id_, name, special, (start, stop) in parts
    ]


def _special_tokens(backend: Backend) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and behind every text."""
    encoding = backend.encode("a")
    mask = [*encoding.special_tokens_mask]
    before = mask.index(0) if 0 in mask else len(mask)
    behind = mask[::-1].index(0) if 0 in mask else 0
    return tuple(encoding.ids[:before]), tuple(encoding.ids[len(mask) - behind :])
