"""Tiny random twins of the families of models of texts and images, in the layouts they are published in."""

import json
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, models, normalizers, processors, trainers
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoTokenizer,
    BertTokenizer,
    PreTrainedTokenizerFast,
    T5Tokenizer,
)

from app.config.args import ModelArgs
from app.encoders.clip import ClipModel, load_clip_model
from app.types import Vector
from tests.support.pictures import pictures
from tests.support.tiny import CORPUS, MEAN, STD, _clip_tokenizer, _wordpieces, unigram_pieces, xlm_roberta_tokenizer

SIZE = {"hidden_size": 48, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 96}
HALF = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
CROPPED = {"do_resize": True, "size": {"shortest_edge": 32}, "do_center_crop": True, "crop_size": 32, "resample": 3}
CROPPED |= {
    "do_normalize": True,
    "image_mean": MEAN,
    "image_std": STD,
    "feature_extractor_type": "CLIPFeatureExtractor",
}
EXACT = {"do_center_crop": False, "size": {"height": 32, "width": 32}}
TEXTS = [
    "a",
    "",
    "The QUICK brown Fox!",
    "Straße naïve 🙂 東京",
    *CORPUS,
    " two  spaces, (here)... ",
    " ".join(CORPUS * 40),
]


@dataclass(frozen=True)
class Twin:
    """`text`: of its text configuration; `filled`: texts are padded to the length that it reads."""

    model_type: str
    models: str
    tokenizer: Callable[[], Any]
    text: dict[str, Any]
    pictures: dict[str, Any]
    more: dict[str, Any]
    layout: str = ""
    filled: bool = False
    vision: tuple[tuple[str, int], ...] = (("image_size", 32),)


def _siglip() -> Any:
    """As it is published: the vocabulary's file, and a class that is Python code around sentencepiece."""
    pieces = unigram_pieces(["<pad>", "</s>", "<unk>"], [canonical(text) for text in CORPUS])
    made = T5Tokenizer(vocab=pieces, extra_ids=0, pad_token="</s>", model_max_length=64)
    made.init_kwargs["tokenizer_class"] = "SiglipTokenizer"
    return made


def _gemma(side: str = "right", **more: Any) -> Any:
    bpe = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=False, fuse_unk=True))
    bpe.normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex(" "), "▁")])
    specials = ["<pad>", "<eos>", "<bos>", "<unk>"]
    bpe.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=300, special_tokens=specials))
    bpe.post_processor = processors.TemplateProcessing(single="$A <eos>", pair=None, special_tokens=[("<eos>", 1)])
    names = {"pad_token": "<pad>", "eos_token": "<eos>", "bos_token": "<bos>", "unk_token": "<unk>"}
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        model_max_length=64,
        padding_side=side,
        **(names | {"model_input_names": ["input_ids"]} | more),
    )


def _bert() -> Any:
    vocab = _wordpieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return BertTokenizer(vocab=vocab, model_max_length=64)


CLIP_TEXT = {"max_position_embeddings": 77}
PROJECTED = {"projection_dim": 40}
NAFLEX = HALF | {
    "image_processor_type": "Siglip2ImageProcessor",
    "resample": 2,
    "patch_size": 16,
    "max_num_patches": 20,
}
SIGLIP = {"image_processor_type": "SiglipImageProcessor", **EXACT, **HALF, "resample": 3}
TWINS = {
    "CLIP": Twin(
        "clip", "clip-vit-base-patch32, OpenCLIP's and MetaCLIP's", _clip_tokenizer, CLIP_TEXT, CROPPED, PROJECTED
    ),
    "CLIP by sentence-transformers": Twin(
        *("clip", "clip-ViT-B-32, -B-16, -L-14", _clip_tokenizer, CLIP_TEXT | {"eos_token_id": 2}, CROPPED),
        *(PROJECTED, "0_CLIPModel"),
    ),
    "MetaCLIP 2": Twin(
        *("metaclip_2", "metaclip-2-worldwide-*", lambda: xlm_roberta_tokenizer(77)),
        *(CLIP_TEXT | {"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}, CROPPED, PROJECTED),
    ),
    "Chinese-CLIP": Twin(
        *("chinese_clip", "chinese-clip-vit-*", _bert, {"max_position_embeddings": 64}),
        *(CROPPED | EXACT | {"feature_extractor_type": "ChineseCLIPFeatureExtractor"}, PROJECTED),
    ),
    "AltCLIP": Twin(
        *("altclip", "AltCLIP, AltCLIP-m9", lambda: xlm_roberta_tokenizer(512)),
        *({"max_position_embeddings": 82, "pad_token_id": 1, "project_dim": 56}, CROPPED, PROJECTED),
    ),
    "SigLIP": Twin("siglip", "siglip-*", _siglip, {"pad_token_id": 1, "eos_token_id": 1}, SIGLIP, {}, filled=True),
    "SigLIP 2": Twin("siglip", "siglip2-* but naflex", _gemma, {}, SIGLIP | {"resample": 2}, {}, filled=True),
    "SigLIP 2 NaFlex": Twin(
        *("siglip2", "siglip2-*-naflex", _gemma, {"pad_token_id": 0}, NAFLEX, {}, "", True, (("num_patches", 9),))
    ),
}


def write(twin: Twin, place: Path) -> Path:
    """The directory of a twin."""
    folder, tokenizer = place / twin.layout, twin.tokenizer()
    text = SIZE | {"vocab_size": len(tokenizer)} | twin.text
    if twin.model_type == "clip" and "eos_token_id" not in text:
        text["eos_token_id"] = tokenizer.eos_token_id
    vision = SIZE | {"patch_size": 16} | dict(twin.vision)
    torch.manual_seed(11)
    model = AutoModel.from_config(
        AutoConfig.for_model(twin.model_type, text_config=text, vision_config=vision, **twin.more)
    ).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.12)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if "tokenizer_class" in tokenizer.init_kwargs:
        file = folder / "tokenizer_config.json"
        said = {"tokenizer_class": tokenizer.init_kwargs["tokenizer_class"], "model_input_names": ["input_ids"]}
        file.write_text(json.dumps(json.loads(file.read_text()) | said))
    (folder / "preprocessor_config.json").write_text(json.dumps(twin.pictures))
    if twin.layout:
        module = {"idx": 0, "name": "0", "path": twin.layout, "type": "sentence_transformers.models.CLIPModel"}
        (place / "modules.json").write_text(json.dumps([module]))
    return place


def load(place: Path, cache: Path, backend: str = "auto", precision: str = "f32") -> ClipModel:
    args = ModelArgs(id=str(place), backend=backend, device="cpu", precision=precision, cache_dir=str(cache))
    return load_clip_model(args, threads=2, offline=True)


@dataclass(frozen=True)
class Expected:
    """What transformers makes of `TEXTS` and `pictures`."""

    ids: list[list[int]]
    texts: Vector
    pixels: Sequence[Any]
    images: Vector


def expected(twin: Twin, place: Path) -> Expected:
    folder = place / twin.layout
    model = AutoModel.from_pretrained(folder).eval()
    texts, tokenizer = TEXTS, AutoTokenizer
    if twin.model_type == "siglip" and twin.tokenizer is _siglip:
        # Its own class needs sentencepiece: this is what it does before and behind that.
        texts, tokenizer = [canonical(text) for text in TEXTS], T5Tokenizer
    made = tokenizer.from_pretrained(folder, **({"extra_ids": 0} if tokenizer is T5Tokenizer else {}))
    most = min(made.model_max_length, 80 if twin.model_type == "altclip" else 77)
    tokens = made(
        texts, padding="max_length" if twin.filled else True, truncation=True, max_length=most, return_tensors="pt"
    )
    pixels = AutoImageProcessor.from_pretrained(folder)(pictures(), return_tensors="pt")
    with torch.inference_mode():
        rows = model.get_text_features(**tokens).pooler_output.numpy()
        images = model.get_image_features(**pixels).pooler_output.numpy()
    ids = [one["input_ids"] for one in (made(text, truncation=True, max_length=most) for text in texts)]
    shown = [pixels[name].numpy() for name in ("pixel_values", "spatial_shapes") if name in pixels]
    return Expected(ids, rows, shown, images)


def cosines(model: ClipModel, right: Expected) -> Vector:
    """The least of each text and image, beside the others and alone; -1 where norms differ by more than 1 %."""
    pixels = [model.image.preprocessing.normalize(model.image.preprocessing.fit(one)) for one in pictures()]
    least = []
    run: Any
    for run, inputs, rows in ((model.text.run, right.ids, right.texts), (model.image.run, pixels, right.images)):
        of: Vector = np.ones(len(rows), np.float32)
        for made in (run(inputs), np.concatenate([run([one]) for one in inputs])):
            norms, norms_right = np.linalg.norm(made, axis=1), np.linalg.norm(rows, axis=1)
            cosine = np.vecdot(made, rows) / (norms * norms_right)
            of = np.minimum(of, np.where(np.abs(norms / norms_right - 1) < 0.01, cosine, -1))
        least.append(of)
    return np.concatenate(least)


def canonical(text: str) -> str:
    """A text as SigLIP's tokenizer cleans it."""
    plain = text.lower().translate(str.maketrans("", "", string.punctuation))
    return re.sub(r"\s+", " ", plain).strip()


def pixels_of(model: ClipModel, images: Sequence[Image.Image]) -> Sequence[Any]:
    """What the graph is given."""
    preprocessing = model.image.preprocessing
    return preprocessing.inputs(np.stack([preprocessing.normalize(preprocessing.fit(image)) for image in images]))
