"""A CLIP tokenizer (byte-level BPE, lower case) whose merges are learnt from captions of shapes."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import CLIPTokenizer

BOS, EOS = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"


def train_tokenizer(captions: Iterable[str], max_length: int) -> CLIPTokenizer:
    """Every word of the captions becomes one token; any other text falls back to its bytes."""
    pipeline = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(BPE(end_of_word_suffix=WORD_END))
    learner.normalizer = pipeline.normalizer
    learner.pre_tokenizer = pipeline.pre_tokenizer
    learner.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(vocab_size=4096, min_frequency=2, end_of_word_suffix=WORD_END, show_progress=False)
    learner.train_from_iterator(captions, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]

    # Laid out as in OpenAI's vocabulary: all bytes, all bytes that end a word, merges, BOS, EOS. With every
    # byte in it nothing is ever unknown, and with EOS as the highest id either way of finding it works.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(byte + WORD_END for byte in alphabet)]
    tokens += [left + right for left, right in merges]
    tokens = [*dict.fromkeys(tokens), BOS, EOS]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=max_length)


def save_tokenizer(tokenizer: CLIPTokenizer, folder: Path) -> None:
    # Calls with padding and truncation leave both switched on in the file, where CLIP's published one has none.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)
    special = {"bos_token": BOS, "eos_token": EOS, "pad_token": EOS, "unk_token": EOS}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n")
