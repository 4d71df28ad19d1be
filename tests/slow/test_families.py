"""All families of models, on every backend; docs/models.md says what comes of them."""

from pathlib import Path

import pytest

from app.encoders import pretrained
from app.encoders.backends import export, openvino_models, tokenizer_export
from tests.support.families import FAMILIES
from tests.support.image_families import TWINS
from tests.support.models_table import FILE, HEAD, IMAGES_END, IMAGES_HEAD, row

DOCUMENTED = FILE.read_text(encoding="utf-8")


def test_the_table_has_every_family_in_order() -> None:
    assert DOCUMENTED.startswith(HEAD)
    assert DOCUMENTED.endswith(IMAGES_END)
    tables = DOCUMENTED.removeprefix(HEAD).removesuffix(IMAGES_END).split(IMAGES_HEAD)
    names = [[line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()] for table in tables]
    assert names == [list(FAMILIES), list(TWINS)]


@pytest.mark.parametrize("name", [*FAMILIES, *TWINS])
def test_a_family_does_what_the_table_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "bf16" not in openvino_models.precisions():
        pytest.skip("the table is of a CPU with bf16")
    monkeypatch.setattr(openvino_models, "convert", export.write)
    monkeypatch.setattr(pretrained, "make", tokenizer_export.write)
    made = row(name, tmp_path).strip().split(" | ")
    [documented] = [line.split(" | ") for line in DOCUMENTED.splitlines() if line.startswith(f"| {name} | ")]
    for mine, theirs in zip(made, documented, strict=True):
        try:
            assert float(mine) == pytest.approx(float(theirs), abs=2e-4)
        except ValueError:
            assert mine == theirs
