"""Writes tiny random models in the published directory formats.

Each has the architecture, tokenizer class, pooling, normalisation, limits and preprocessing of the model it is
named for; only sizes are smaller and weights random.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertModel,
    CLIPConfig,
    CLIPModel,
    CLIPTokenizer,
    DistilBertConfig,
    DistilBertModel,
    DistilBertTokenizer,
    MPNetConfig,
    MPNetModel,
    MPNetTokenizer,
    XLMRobertaTokenizer,
)

from app.config.args import ModelArgs
from app.encoders.text import TextModel, load_text_model

CORPUS = [
    "The quick brown fox jumps over the lazy dog, again and again.",
    "Naïve Straße, théorie générale: 12 + 30 = 42! (really?)",
    "Векторы и слова; 東京 で 学習 する。 مرحبا بالعالم 🙂 🚀",
    "a photo of a cat; a photo of two dogs; a drawing of a red circle",
]
MEAN, STD = [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
# Wider than usual, so that vectors of different inputs differ by much more than the tolerances.
SPREAD = {"initializer_range": 0.25}


def write_mpnet(directory: Path, **extra: Any) -> Path:
    """all-mpnet-base-v2: MPNet, WordPiece in <s> </s>, 384 tokens, mean, normalised."""
    specials = ["<s>", "<pad>", "</s>", "[UNK]"]
    tokenizer = MPNetTokenizer(vocab=_wordpieces([*specials, "<mask>"]), model_max_length=512)
    config = MPNetConfig(
        vocab_size=len(tokenizer), max_position_embeddings=514, pad_token_id=1, **_size("hidden_size"), **SPREAD
    )
    _save(directory, MPNetModel(config), tokenizer)
    return _sentence(directory, max_length=384, normalize=True, **extra)


def write_multilingual(directory: Path, **extra: Any) -> Path:
    """paraphrase-multilingual-MiniLM-L12-v2: BERT with XLM-R's Unigram tokenizer, 128 tokens, mean."""
    tokenizer = xlm_roberta_tokenizer(512)
    config = BertConfig(
        vocab_size=len(tokenizer), max_position_embeddings=512, pad_token_id=0, **_size("hidden_size"), **SPREAD
    )
    _save(directory, BertModel(config), tokenizer)
    return _sentence(directory, max_length=128, normalize=False, **extra)


def write_distilbert(directory: Path, **extra: Any) -> Path:
    """msmarco-distilbert-base-v3: DistilBERT, lower-cased WordPiece, 510 tokens, mean."""
    vocab = _wordpieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer = DistilBertTokenizer(vocab=vocab, do_lower_case=True, model_max_length=512)
    config = DistilBertConfig(vocab_size=len(vocab), dim=48, n_heads=4, n_layers=2, hidden_dim=96, **SPREAD)
    _save(directory, DistilBertModel(config), tokenizer)
    return _sentence(directory, max_length=510, normalize=False, **extra)


TEXT_MODELS: dict[str, Callable[..., Path]] = {
    "all-mpnet-base-v2": write_mpnet,
    "paraphrase-multilingual-MiniLM-L12-v2": write_multilingual,
    "msmarco-distilbert-base-v3": write_distilbert,
}

# Activation, patch, image size, and whether the end token is named (old files say 2, whatever it is).
CLIP_MODELS: dict[str, tuple[str, int, int, bool, dict[str, Any]]] = {
    "clip-vit-base-patch32": ("quick_gelu", 32, 64, False, {"size": 64, "crop_size": 64}),
    "clip-vit-large-patch14": ("quick_gelu", 14, 56, False, {"size": {"shortest_edge": 56}, "crop_size": 56}),
    "CLIP-ViT-B-32-laion2B-s34B-b79K": (
        "gelu",
        *(32, 64, True),
        {
            "size": {"shortest_edge": 64},
            "crop_size": {"height": 64, "width": 64},
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_convert_rgb": True,
        },
    ),
}


def write_clip(directory: Path, name: str) -> Path:
    """A CLIP with byte-level BPE, 77 tokens, and the preprocessing file of the named model."""
    activation, patch, size, named_end, preprocessing = CLIP_MODELS[name]
    tokenizer = _clip_tokenizer()
    end = int(tokenizer.eos_token_id)
    text = {"vocab_size": len(tokenizer), "max_position_embeddings": 77, "eos_token_id": end if named_end else 2}
    common = {"num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96, "hidden_act": activation}
    config = CLIPConfig(
        text_config={"hidden_size": 48, **text, **common},
        vision_config={"hidden_size": 64, "image_size": size, "patch_size": patch, **common},
        projection_dim=40,
        initializer_factor=8.0,
    )
    _save(directory, CLIPModel(config), tokenizer)
    standard: dict[str, Any] = {"do_resize": True, "resample": 3, "do_center_crop": True, "do_normalize": True}
    standard |= {"image_mean": MEAN, "image_std": STD, "feature_extractor_type": "CLIPFeatureExtractor"}
    _write_json(directory / "preprocessor_config.json", standard | preprocessing)
    return directory


def write_pooling(directory: Path, modes: str | Sequence[str], old_format: bool = False) -> Path:
    """Give a written sentence-transformers model another pooling."""
    settings: dict[str, Any] = {"word_embedding_dimension": 48}
    if old_format:
        settings |= {f"pooling_mode_{mode}_tokens": mode in modes for mode in ("max", "mean", "mean_sqrt_len")}
        settings["pooling_mode_cls_token"] = "cls" in modes
    else:
        settings["pooling_mode"] = modes
    _write_json(directory / "1_Pooling" / "config.json", settings)
    return directory


def write_dense(directory: Path, features: int) -> Path:
    """Add a Dense module behind everything else."""
    from sentence_transformers.sentence_transformer.modules import Dense

    modules = json.loads((directory / "modules.json").read_text())
    index = len(modules)
    modules.append(_module(index, f"{index}_Dense", "Dense"))
    _write_json(directory / "modules.json", modules)
    folder = directory / f"{index}_Dense"
    folder.mkdir()
    Dense(48, features).save(str(folder))
    return directory


def xlm_roberta_tokenizer(most: int) -> Any:
    return XLMRobertaTokenizer(vocab=unigram_pieces(["<s>", "<pad>", "</s>", "<unk>"]), model_max_length=most)


def unigram_pieces(specials: list[str], texts: Sequence[str] = CORPUS) -> list[tuple[str, float]]:
    trainer = trainers.UnigramTrainer(vocab_size=300, special_tokens=specials, unk_token="<unk>")
    unigram = Tokenizer(models.Unigram())
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    unigram.train_from_iterator(texts, trainer)
    return [tuple(piece) for piece in json.loads(unigram.to_str())["model"]["vocab"]]


def _size(hidden: str) -> dict[str, Any]:
    return {hidden: 48, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96}


def _wordpieces(specials: list[str]) -> dict[str, int]:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=300, special_tokens=specials))
    vocab: dict[str, int] = tokenizer.get_vocab()
    return vocab


def _clip_tokenizer() -> Any:
    bpe = Tokenizer(models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, end_of_word_suffix="</w>")
    )
    vocab = bpe.get_vocab()
    for letter in alphabet:
        vocab.setdefault(f"{letter}</w>", len(vocab))
    # As in the published vocabulary, the end has the highest id.
    vocab |= {"<|startoftext|>": len(vocab), "<|endoftext|>": len(vocab) + 1}
    merges = [tuple(merge) for merge in json.loads(bpe.to_str())["model"]["merges"]]
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=77)


def _save(directory: Path, model: Any, tokenizer: Any) -> None:
    torch.manual_seed(11)
    model.init_weights()
    model.eval().save_pretrained(directory)
    tokenizer.save_pretrained(directory)


def _sentence(
    directory: Path, max_length: int, normalize: bool, lower: bool = False, prompts: dict[str, Any] | None = None
) -> Path:
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    folders = ["", "1_Pooling", "2_Normalize"]
    _write_json(directory / "modules.json", [_module(i, folders[i], kind) for i, kind in enumerate(kinds)])
    _write_json(directory / "sentence_bert_config.json", {"max_seq_length": max_length, "do_lower_case": lower})
    _write_json(directory / "config_sentence_transformers.json", prompts or {})
    return write_pooling(directory, ["mean"], old_format=True)


def _module(index: int, path: str, kind: str) -> dict[str, Any]:
    return {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.models.{kind}"}


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1))


def load(directory: Path, **args: Any) -> TextModel:
    known = {"id": str(directory), "backend": "torch", "device": "cpu", "cache_dir": str(directory.parent / "cache")}
    return load_text_model(ModelArgs(**(known | args)), threads=1, offline=True)
