"""Pairs of texts -> token ids, as transformers reads them for a cross-encoder. Each text is tokenised by itself, a
query once for all its documents; what the tokenizer puts around a pair is known from one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Encoding
from tokenizers import Tokenizer as Backend

from app.encoders.long_texts import as_far_as_read
from app.encoders.tokenizer import Tokenizer
from app.errors import InvalidItem, ModelUnavailable
from app.types import Pair, Prompted, TextInput, TokenIds, TokenizedText
from app.words import Cut


@dataclass(frozen=True, slots=True)
class Frame:
    """The special tokens around one text or two: before each, and behind the last. `second`: which texts are of the
    second segment. Ids of that segment are inverted, `~id`, as in all that follows."""

    specials: Sequence[Sequence[int]]
    second: Sequence[bool]

    @property
    def size(self) -> int:
        return sum(map(len, self.specials))

    @classmethod
    def of(cls, encoding: Encoding, texts: int) -> "Frame":
        """Raises ModelUnavailable where it is none that one can be made of."""
        of_text, types = encoding.sequence_ids, encoding.type_ids
        begins = [of_text.index(text) for text in range(texts)]
        ends = [begin + of_text.count(text) for text, begin in enumerate(begins)]
        ids = [~id_ if type_ else id_ for id_, type_ in zip(encoding.ids, types, strict=True)]
        parts = zip([0, *ends], [*begins, len(ids)], strict=True)
        frame = cls([ids[end:begin] for end, begin in parts], [types[begin] > 0 for begin in begins])
        if max(types) > 1 or frame.size + sum(of_text.count(text) for text in range(texts)) != len(ids):
            raise ModelUnavailable(
                "The model's tokenizer puts pairs together in a way that this service does not know."
            )
        return frame

    def around(self, *texts: Sequence[int]) -> list[int]:
        ids = list(self.specials[0])
        for text, second, behind in zip(texts, self.second, self.specials[1:], strict=True):
            ids += [~id_ for id_ in text] if second else text
            ids += behind
        return ids


class PairTokenizer(Tokenizer):
    """A cross-encoder's. The longer of two texts is cut first; `prompt` is put before the first text."""

    def __init__(self, file: Path, max_tokens: int, prompt: str = "") -> None:
        super().__init__(file, max_tokens, prompt)
        self._left: dict[Cut | None, bool] = {None: self.cut == "start", "end": False, "start": True}
        self._texts = {left: self._plain(left=left) for left in (False, True)}
        self._one, self._two = Frame.of(self._backend.encode("a"), 1), Frame.of(self._backend.encode("a", "a"), 2)

    def __call__(self, texts: Sequence[str], prompt: str | None = None) -> list[TokenizedText]:
        return [
            text for text in self.read([Prompted(text, prompt) for text in texts]) if isinstance(text, TokenizedText)
        ]

    def read(self, inputs: Sequence[TextInput]) -> list[TokenizedText | InvalidItem]:
        """One outcome per input, in order: of a pair or of a text alone; token ids are refused."""
        wanted: dict[bool, dict[str, Any]] = {left: {} for left in self._texts}
        asked: list[tuple[bool, list[str]] | None] = []
        for one in inputs:
            if isinstance(one, TokenIds):
                asked.append(None)
                continue
            plain = Prompted(one) if isinstance(one, str) else one
            prompt = plain.prompt if isinstance(plain, Prompted) and plain.prompt is not None else self._prompt
            first, *rest = (plain.query, plain.text) if isinstance(plain, Pair) else (plain.text,)
            asked.append((self._left[plain.cut], [prompt + first, *rest]))
            wanted[self._left[plain.cut]] |= dict.fromkeys([prompt + first, *rest])
        for left, texts in wanted.items():
            wanted[left] = dict(zip(texts, self._texts[left](list(texts)), strict=True)) if texts else {}
        return [
            self._together(one[1], [wanted[one[0]][text] for text in one[1]], left=one[0])
            if one is not None
            else InvalidItem("A reranker reads texts, not token ids.")
            for one in asked
        ]

    def _together(self, texts: Sequence[str], halves: Sequence[Encoding], *, left: bool) -> TokenizedText:
        frame = self._one if len(halves) == 1 else self._two
        ids = [half.ids for half in halves]
        room = max(0, self._max_tokens - frame.size)
        lengths = [len(half) for half in ids]
        if room % 2 and len(ids) == 2 and min(lengths) >= self._max_tokens:
            # The longer one gets the odd token, however long both are.
            lengths = [len(one) for one in self._uncut.encode_batch_fast(texts, add_special_tokens=False)]
        sizes = longest_first(lengths, room)
        cut = [half[len(half) - size :] if left else half[:size] for half, size in zip(ids, sizes, strict=True)]
        truncated = any(map(len, (half.overflowing for half in halves))) or sum(sizes) < sum(map(len, ids))
        return TokenizedText(ids=frame.around(*cut), truncated=truncated)

    def _plain(self, *, left: bool) -> Any:
        """Encodes texts without what is around them, as far as a pair of any lengths needs."""
        backend = Backend.from_str(self._backend.to_str())
        backend.enable_truncation(self._max_tokens, direction="left" if left else "right")

        def encode(texts: Sequence[str]) -> list[Encoding]:
            return backend.encode_batch_fast(texts, add_special_tokens=False)

        return as_far_as_read(backend, encode, self._max_tokens, left=left)


def longest_first(sizes: Sequence[int], room: int) -> list[int]:
    """How many tokens of each text are read, as the tokenizers library truncates."""
    if sum(sizes) <= room:
        return list(sizes)
    if len(sizes) == 1:
        return [room]
    least = min(*sizes, room // 2)
    return [room - least, least] if sizes[0] > sizes[1] else [least, room - least]
