"""Makes docs/models.md, of what the families' twins do on this machine: `python -m tests.support.models_table`."""

import sys
import tempfile
from pathlib import Path

from app.encoders.backends import export, openvino_models
from tests.support.families import FAMILIES, cosines, load, positions, reference, texts, write

FILE = Path(__file__).parents[2] / "docs/models.md"
MOST = 512
HEAD = """# Models

Any sentence-transformers or plain transformers directory of a family below is served, by safetensors and without code
of its own. A conversion for OpenVINO is compared with the torch module before it is kept: 1 to 1,024 tokens, alone and
padded beside others; the cosine must be at least 0.9999 in f32 and 0.999 in bf16, norms within 0.5 %. What is not that
good in bf16 runs in f32; what is not that good in f32 runs on torch where `backend` is `auto`, and is refused where it
is `openvino`. `/health` says so in the model's `note`. Llama-like decoders of 0.6B parameters and more run on torch in
bf16, which is faster for them on a CPU.

`precision: int8` quantises a text model as it is converted (`pip install '.[int8]'`, only the conversion needs it).
It is never chosen by itself, and accepted only if on 108 shipped texts that it was not calibrated on the mean cosine to
f32 is at least 0.99 and Spearman's correlation between the scores of all pairs, in int8 and in f32, at least 0.995. Its
price for MiniLM: there 0.9974 and 0.9964; over 500 odd texts a mean of 0.9949, 1 % below 0.972, and 0.937 for the
worst, one character repeated 600 times. Its gain, on two cores of an AMD EPYC with bf16, by `make bench-models`: 100
texts of 21 tokens take 184 ms (bf16: 312, f32: 583), one takes 3.7 ms (5.2, 6.7); it needs 481 MB (288, 367).

The table is made by `python -m tests.support.models_table`, on a CPU with bf16: the least cosine to
sentence-transformers over short, long and cut texts, alone and padded, of a tiny random twin of each family.

| family | architecture | models of it | `auto` serves | OpenVINO f32 | OpenVINO bf16 | torch f32 | real weights |
|---|---|---|---|---|---|---|---|
"""
REAL = {"BERT": "all-MiniLM-L6-v2, multilingual-e5-small", "MPNet": "all-mpnet-base-v2"}
COLUMNS = (("openvino", "f32"), ("openvino", "bf16"), ("torch", "f32"))


def row(name: str, folder: Path) -> str:
    """Of a family, with its twin in `folder`."""
    family = FAMILIES[name]
    most = min(MOST, positions(family))
    place = write(family, folder / name.replace("/", " "), most)
    auto = load(place, folder / "cache")
    ids = [text.ids for text in auto.tokenize(texts(most))]
    right = reference(place, ids)
    found = []
    for backend, precision in COLUMNS:
        if backend != "torch" and auto.info.backend == "torch":
            found.append("refused")
            continue
        model = load(place, folder / "cache", backend, "auto" if precision == "bf16" else precision)
        cosine = cosines(model, ids, right).min()
        found.append(f"{cosine:.5f}" if model.info.precision == precision else "not good enough: f32")
    cells = [name, f"`{family.model_type}`", family.models, auto.info.backend, *found, REAL.get(name, "no")]
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    openvino_models.convert = export.write
    with tempfile.TemporaryDirectory() as scratch:
        rows = []
        for name in FAMILIES:
            rows.append(row(name, Path(scratch)))
            sys.stdout.write(rows[-1])
            sys.stdout.flush()
    FILE.write_text(HEAD + "".join(rows), encoding="utf-8")
