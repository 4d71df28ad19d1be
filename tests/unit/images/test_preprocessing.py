from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.errors import ModelUnavailable
from app.images.preprocessing import Patches, Preprocessing
from app.types import Vector


def pixels_of(preprocessing: Preprocessing, image: Image.Image) -> Vector:
    return preprocessing.normalize(preprocessing.fit(image))


def test_what_is_not_said_is_as_in_clip() -> None:
    pixels = pixels_of(Preprocessing.read(None), Image.new("RGB", (300, 400), (255, 0, 128)))
    assert pixels.shape == (3, 224, 224)
    assert str(pixels.dtype) == "float32"
    red, green, blue = pixels[:, 100, 100]
    assert red == pytest.approx((1 - 0.48145466) / 0.26862954)
    assert green == pytest.approx(-0.4578275 / 0.26130258)
    assert blue == pytest.approx((128 / 255 - 0.40821073) / 0.27577711)


def test_newer_files_keep_it_beside_the_tokenizer() -> None:
    said = {"image_processor": {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}}
    assert Preprocessing.read(None, said).output_size == (64, 64)


def test_steps_can_be_switched_off() -> None:
    preprocessing = Preprocessing.read(
        {"do_center_crop": False, "do_normalize": False, "size": {"height": 2, "width": 3}}
    )
    pixels = pixels_of(preprocessing, Image.new("RGB", (9, 9), (51, 102, 255)))
    assert pixels.shape == (3, 2, 3)
    np.testing.assert_allclose(pixels[:, 0, 0], [0.2, 0.4, 1.0], rtol=1e-6)


def test_an_open_size_is_refused() -> None:
    with pytest.raises(ModelUnavailable, match="leaves the size"):
        _ = Preprocessing.read({"do_center_crop": False}).output_size


@pytest.mark.parametrize("size", [(3, 900), (900, 3), (2, 100_000), (100_000, 2)])
def test_extreme_proportions_cost_no_memory_and_one_level_at_most(size: tuple[int, int]) -> None:
    preprocessing = Preprocessing.read({"size": 16, "crop_size": 16, "do_normalize": False, "do_rescale": False})
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
    short = min(size)
    width, height = (16 if edge == short else int(16 * edge / short) for edge in size)
    whole = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - 16) // 2, (height - 16) // 2
    expected = np.asarray(whole.crop((left, top, left + 16, top + 16)), np.float32)
    assert np.abs(pixels_of(preprocessing, image).transpose(1, 2, 0) - expected).max() <= 1


def test_a_line_of_pixels_is_not_scaled_to_gigabytes() -> None:
    assert pixels_of(Preprocessing.read(None), Image.new("RGB", (1, 10_000_000))).shape == (3, 224, 224)


NAFLEX = {"image_processor_type": "Siglip2ImageProcessorFast", "patch_size": 2, "max_num_patches": 6}


def test_patches_keep_an_images_proportions() -> None:
    preprocessing = Preprocessing.read(NAFLEX)
    assert isinstance(preprocessing, Patches)
    grids = []
    for size in ((30, 20), (20, 30), (1, 90), (90, 1), (1, 1), (4, 4)):
        crop = preprocessing.fit(Image.new("RGB", size, (255, 0, 51)))
        assert len(crop) == 7 * 12
        patches, shapes = preprocessing.inputs(preprocessing.normalize(crop)[None])
        grids.append(tuple(shapes[0]))
        count = shapes[0].prod()
        np.testing.assert_allclose(patches[0, :count], [[1, -1, -0.6] * 4] * count, atol=1e-6)
        assert not patches[0, count:].any()
    assert grids == [(2, 3), (3, 2), (6, 1), (1, 6), (2, 2), (2, 2)]
    _, shapes = preprocessing.inputs(np.zeros((1, *preprocessing.shape), np.float32))
    assert shapes.tolist() == [[1, 1]]  # a row that only fills the batch


def test_patches_are_whole_and_no_more_than_the_model_reads() -> None:
    preprocessing = Preprocessing.read(NAFLEX)
    crop = bytearray(preprocessing.fit(Image.new("RGB", (3, 2))))
    for rows, columns in ((7, 1), (0, 1), (3, 3)):
        crop[-12:-8] = rows, 0, columns, 0
        with pytest.raises(ValueError, match=f"{rows} × {columns} patches of at most 6"):
            preprocessing.normalize(bytes(crop))
    for field in ({"max_num_patches": 0}, {"patch_size": 1}, {"do_resize": False}):
        with pytest.raises(ModelUnavailable, match="leaves the number of its patches open"):
            Preprocessing.read(NAFLEX | field)


def test_the_newer_of_two_files_counts_as_in_transformers() -> None:
    own, newer = {"size": 32, "crop_size": 32}, {"image_processor": {"size": 16, "crop_size": 16}}
    assert Preprocessing.read(own, newer).output_size == (16, 16)
    for silent in ({"image_processor": None}, {"processor_class": "CLIPProcessor"}):
        assert Preprocessing.read(own, silent).output_size == (32, 32)


def test_one_mean_is_of_every_channel_and_a_pair_is_a_size() -> None:
    said = {"size": [16, 12], "do_center_crop": False, "image_mean": 0.5, "image_std": 0.25}
    pixels = pixels_of(Preprocessing.read(said), Image.new("RGB", (40, 40), (255, 0, 51)))
    assert pixels.shape == (3, 16, 12)
    assert pixels[:, 0, 0].tolist() == pytest.approx([2, -2, -1.2])


@pytest.mark.parametrize(
    ("said", "words"),
    [({"size": {"shortest_edge": 16, "longest_edge": 20}}, "longest_edge"), ({"pad_size": {"height": 9}}, "pad_size")],
)
def test_what_would_make_other_pixels_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelUnavailable, match=rf"^The model's pictures .*{words}.*\.$"):
        Preprocessing.read(said)
