"""The model card of shapes-clip."""

from collections.abc import Mapping

from examples.shapes_recall import Recall
from examples.shapes_scene import BACKGROUNDS, COLOURS, POSITIONS, SHAPES, UNSEEN_PAIRS


def model_card(figures: Mapping[str, Recall], parameters: int, pictures: int, steps: int) -> str:
    """Markdown for the model's directory; the figures are those that the training script measured."""
    rows = "\n".join(f"| {name} | {r.text_to_image:.3f} | {r.image_to_text:.3f} |" for name, r in figures.items())
    pairs = ", ".join(sorted(f"{colour} {shape}" for shape, colour in UNSEEN_PAIRS))
    return f"""# shapes-clip

A small, genuine CLIP ({parameters:,} parameters) that knows simple drawn shapes: {", ".join(SHAPES)}, in
{", ".join(COLOURS)}, small or large, {", ".join(POSITIONS)}, on {", ".join(BACKGROUNDS)}. It lets a fresh
installation embed images and search them by words where no other model is available. It knows nothing else: use a
real CLIP for real pictures.

Trained by `make train-shapes-clip` (seeded) on {pictures:,} drawn pictures with captions, {steps:,} steps.
These pairs were never drawn in training: {pairs}.

Recall@1 on held-out pictures (32 candidates unless said otherwise), as the script measured it:

| pictures | text to image | image to text |
|---|---|---|
{rows}

Limits: one shape to a picture, filled, upright or nearly so, at least a quarter of the shorter side across. Only the
middle square of a picture is looked at. Shapes are told apart less surely than colours, sizes, places and
backgrounds, small ones least. Words it was not trained on count for little, and a question about anything else still
gets a nearest answer. Texts are cut at 32 tokens; a word it does not know takes one token or more per letter.

License: MIT, as the repository.
"""
