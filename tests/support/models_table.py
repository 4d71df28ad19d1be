"""Makes docs/models.md, of what the families' twins do on this machine: `python -m tests.support.models_table`."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from app.encoders import pretrained
from app.encoders.backends import export, openvino_models, tokenizer_export
from app.types import ModelInfo
from tests.support import image_families
from tests.support.families import FAMILIES, cosines, load, positions, reference, texts, write
from tests.support.image_families import TWINS

FILE = Path(__file__).parents[2] / "docs/models.md"
MOST = 512
HEAD = """# Models

Any sentence-transformers or plain transformers directory of a family below is served, by safetensors and without code
of its own. A conversion for OpenVINO is compared with the torch module before it is kept: 1 to 1,024 tokens, alone and
padded beside others; the cosine must be at least 0.9999 in f32 and 0.999 in bf16, norms within 0.5 %. What is not that
good in bf16 runs in f32; what is not that good in f32 runs on torch where `backend` is `auto`, and is refused where it
is `openvino`. `/health` says so in the model's `note`. Llama-like decoders of 0.6B parameters and more run on torch in
bf16, which is faster for them on a CPU.

`precision: int8` quantises a text model as it is converted (`pip install '.[int8]'`, only the conversion needs it). It
is never chosen automatically, and accepted only if on 108 shipped texts that it was not calibrated on the mean cosine
to f32 is at least 0.99 and Spearman's correlation between the scores of all pairs, in int8 and in f32, at least 0.995.
Its price for MiniLM: there 0.9974 and 0.9964; over 500 odd texts a mean of 0.9949, 1 % below 0.972, and 0.937 for the
worst, one character repeated 600 times. Its gain, on two cores of an AMD EPYC with bf16, by `make bench-models`: 100
texts of 21 tokens take 184 ms (bf16: 312, f32: 583), one takes 3.7 ms (5.2, 6.7); it needs 481 MB (288, 367).

The table is made by `python -m tests.support.models_table`, on a CPU with bf16: the least cosine to
sentence-transformers over short, long and cut texts, alone and padded, of a tiny random twin of each family.

| family | architecture | models of it | `auto` serves | OpenVINO f32 | OpenVINO bf16 | torch f32 | real weights |
|---|---|---|---|---|---|---|---|
"""
IMAGES_HEAD = """
## Texts and images

A directory of these families is configured as an image model, and reads texts too. The cosine is the least to
transformers' `get_text_features` and `get_image_features`; pixels are equal to the family's own image processor.

| family | architecture | models of it | `auto` serves | OpenVINO f32 | OpenVINO bf16 | torch f32 | real weights |
|---|---|---|---|---|---|---|---|
"""
IMAGES_END = """
SigLIP 2 NaFlex reads an image in its own proportions, as at most as many patches as its files say (256); images of any
shapes run together.

SigLIP's and SigLIP 2's texts are filled up to 64 tokens, as they were trained. SigLIP's tokenizer is Python code around
sentencepiece: the fast form of its `tokenizer.json` is used, behind the same clean-up (lower case, no punctuation);
a directory with `spiece.model` alone needs `pip install sentencepiece`. Modules behind a CLIP in sentence-transformers'
layout (Dense, LayerNorm, Normalize) and `truncate_dim` are followed.

A multilingual text model beside a CLIP, such as clip-ViT-B-32-multilingual-v1, is a text model (DistilBERT, mean,
Dense): configure it as one, embed pictures with clip-ViT-B-32 and texts with it. Their vectors compare, but the service
can't know that two models share a space: leave `query_space` and `candidate_space` out of `/similarity`.

Refused by their names: MobileCLIP and others whose images are read by a timm model, OpenCLIP's own
layout (`open_clip_config.json`), and every other family that reads images.

## What is not served

Each is refused in one sentence before any work, by the service, by `python -m app inspect` and by `pull`: models that
read sounds; code of their own (`auto_map`, modules and tokenizers beside the model), unless transformers has
taken it over; weights that others quantised (GPTQ, AWQ, bitsandbytes, FP8, MLX and all others, by `quantization_config`
or by numbers that are no floats); LoRA and other adapters; generative models of texts and images; pipelines of
diffusers and spaCy; tables of words (`WordEmbeddings`, fastText). Cross-encoders and sparse encoders have settings of
their own (`rerank_models`, `sparse_models`).
"""
REAL = {
    "CLIP": "shapes-clip",
    "BERT": "all-MiniLM-L6-v2, multilingual-e5-small",
    "MPNet": "all-mpnet-base-v2",
}
COLUMNS = (("openvino", "f32"), ("openvino", "bf16"), ("torch", "f32"))


def row(name: str, folder: Path) -> str:
    """Of a family, with its twin in `folder`."""
    if name in TWINS:
        return _image_row(name, folder)
    family = FAMILIES[name]
    most = min(MOST, positions(family))
    place = write(family, folder / name.replace("/", " "), most)
    ids = [text.ids for text in load(place, folder / "cache", "torch").tokenize(texts(most))]
    # A tokenizer that reads nothing of the texts would make every comparison one of two special tokens.
    assert len(ids[0]) < 8 < most == len(ids[-1]), [len(one) for one in ids]
    right = reference(place, ids)

    def measured(*how: str) -> tuple[ModelInfo, float]:
        model = load(place, folder / "cache", *how)
        return model.info, float(cosines(model, ids, right).min())

    return _cells(name, family.model_type, family.models, measured)


def _image_row(name: str, folder: Path) -> str:
    twin = TWINS[name]
    place = image_families.write(twin, folder / name)
    right = image_families.expected(twin, place)

    def measured(*how: str) -> tuple[ModelInfo, float]:
        model = image_families.load(place, folder / "cache", *how)
        return model.info, float(image_families.cosines(model, right).min())

    return _cells(name, twin.model_type, twin.models, measured)


def _cells(name: str, model_type: str, models: str, measured: Callable[..., tuple[ModelInfo, float]]) -> str:
    auto = measured()[0].backend
    found = []
    for backend, precision in COLUMNS:
        if backend != "torch" and auto == "torch":
            found.append("refused")
            continue
        info, cosine = measured(backend, "auto" if precision == "bf16" else precision)
        found.append(f"{cosine:.5f}" if info.precision == precision else "not good enough: f32")
    cells = [name, f"`{model_type}`", models, auto, *found, REAL.get(name, "no")]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    openvino_models.convert, pretrained.make = export.write, tokenizer_export.write
    with tempfile.TemporaryDirectory() as scratch:
        rows = {}
        for name in (*FAMILIES, *TWINS):
            rows[name] = row(name, Path(scratch))
            sys.stdout.write(rows[name])
            sys.stdout.flush()
    FILE.write_text(
        HEAD
        + "".join(rows[name] for name in FAMILIES)
        + IMAGES_HEAD
        + "".join(rows[name] for name in TWINS)
        + IMAGES_END,
        encoding="utf-8",
    )
