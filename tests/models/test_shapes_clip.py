import json
from pathlib import Path
from random import Random

import numpy as np
import pytest
from tokenizers import Tokenizer

from examples.shapes import COLOURS, SHAPES, UNSEEN_PAIRS, Scene, caption, draw, fitted, held_out, random_scene
from examples.shapes_recall import recall_at_1
from examples.shapes_reference import Reference

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "app" / "assets" / "shapes-clip"
PUBLISHED = {
    "README.md",
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture(scope="module")
def shipped() -> Reference:
    return Reference(ASSETS)


def test_a_seed_gives_the_same_pictures_and_captions_and_another_seed_others() -> None:
    first, again, other = (held_out(seed, 8) for seed in (3, 3, 4))
    assert [(image.tobytes(), *rest) for image, *rest in first] == [(image.tobytes(), *rest) for image, *rest in again]
    assert first[0][0].tobytes() != other[0][0].tobytes()


def test_training_scenes_leave_out_the_unseen_pairs_but_no_shape_and_no_colour() -> None:
    scenes = [random_scene(Random(seed), unseen=False) for seed in range(2000)]
    pairs = {(scene.shape, scene.colour) for scene in scenes}
    assert not pairs & UNSEEN_PAIRS
    assert {shape for shape, _ in pairs} == set(SHAPES)
    assert {colour for _, colour in pairs} == set(COLOURS)


def test_held_out_refuses_more_scenes_than_captions_can_tell_apart() -> None:
    with pytest.raises(ValueError, match="tell apart"):
        held_out(0, len(SHAPES) + 1, parts=("shape",))


def test_a_plain_caption_names_every_part() -> None:
    scene = Scene("circle", "red", size="small", position="top left", background="white")
    assert caption(scene) == "a small red circle at the top left on a white background"


@pytest.mark.parametrize("size", [(200, 150), (64, 64), (91, 300)])
def test_training_sees_pixels_as_the_processor_makes_them(shipped: Reference, size: tuple[int, int]) -> None:
    image = draw(Scene("star", "blue"), Random(1), size)
    processed = shipped.processor(image, do_normalize=False, do_rescale=False, return_tensors="np")
    expected = np.asarray(processed["pixel_values"])[0].transpose(1, 2, 0)
    np.testing.assert_array_equal(np.asarray(fitted(image, 64)), expected)


def test_the_directory_is_in_the_published_format_and_small() -> None:
    assert {file.name for file in ASSETS.iterdir()} == PUBLISHED
    assert (ASSETS / "model.safetensors").stat().st_size <= 3_000_000
    config = json.loads((ASSETS / "config.json").read_text())
    tokenizer = Tokenizer.from_file(str(ASSETS / "tokenizer.json"))
    assert config["text_config"]["eos_token_id"] == tokenizer.token_to_id("<|endoftext|>") != 2
    assert config["text_config"]["vocab_size"] == tokenizer.get_vocab_size()


@pytest.mark.parametrize("text", ["", "A RED  Circle", "ąć é 详 😀", "\x00\u200b\uffff", "unheard-of " * 100])
def test_tokenizers_alone_reads_any_text_as_transformers_does(shipped: Reference, text: str) -> None:
    ids = Tokenizer.from_file(str(ASSETS / "tokenizer.json")).encode(text).ids
    assert ids == shipped.tokenizer(text)["input_ids"]
    assert ids.count(shipped.tokenizer.eos_token_id) == 1
    assert np.isfinite(shipped.encode_texts([text])).all()


def test_held_out_pictures_and_captions_find_each_other(shipped: Reference) -> None:
    assert min(recall_at_1(shipped.encode_images, shipped.encode_texts)) >= 0.9


def test_never_trained_pairs_find_each_other(shipped: Reference) -> None:
    assert min(recall_at_1(shipped.encode_images, shipped.encode_texts, unseen=True)) >= 0.7


def test_colour_and_shape_alone_are_enough(shipped: Reference) -> None:
    # Without this, colour, size, place and background could carry the recall and shapes be guessed.
    recall = recall_at_1(shipped.encode_images, shipped.encode_texts, parts=("shape", "colour"))
    assert min(recall) >= 0.85


def test_words_as_people_type_them_find_plain_drawings(shipped: Reference) -> None:
    scenes = [Scene(shape, colour) for shape in SHAPES for colour in COLOURS]
    images = [draw(scene, canvas=(200, 150)) for scene in scenes]
    texts = [f"{scene.colour.upper()} {scene.shape}" for scene in scenes]
    scores = unit(shipped.encode_texts(texts)) @ unit(shipped.encode_images(images)).T
    assert (scores.argmax(axis=1) == np.arange(len(scenes))).mean() >= 0.9


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
