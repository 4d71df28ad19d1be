"""Damaged images: the only outcomes are a picture and a 4xx that names the item."""

import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import ServiceError
from app.images import decoder
from loadtests.fuzz_images import KINDS, Change, damaged
from loadtests.pictures import every_format, limits, with_checksums

SAMPLES = every_format()
# Small enough for a claimed size to be decoded quickly, large enough for it to be claimed by chance.
LIMITS = limits(image_pixels=2_000_000)
EXAMPLES = 80  # times 20 samples; `make fuzz` sets more

CHANGES = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        # Headers decide most: every other change goes there.
        st.one_of(st.integers(0, 80), st.integers(0, 2**16)),
        st.one_of(
            st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**32 - 1]),
            st.integers(0, 2**32 - 1),
        ),
    ),
    min_size=1,
    max_size=6,
)


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_images_are_rejected_or_decoded(name: str) -> None:
    @settings(max_examples=EXAMPLES)
    @given(changes=CHANGES, repaired=st.booleans())
    def check(changes: list[Change], repaired: bool) -> None:
        data = damaged(SAMPLES[name], changes)
        if repaired and name.startswith("png"):
            data = with_checksums(data)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            outcome(data)
        assert not caught

    check()


def outcome(data: bytes) -> None:
    try:
        header = decoder.read_header(data, LIMITS, param="images.0")
        image = decoder.decode(data, LIMITS, param="images.0")
    except ServiceError as error:
        assert 400 <= error.status < 500  # noqa: PT017
        assert error.param == "images.0"  # noqa: PT017
        return
    assert image.mode == "RGB"
    assert sorted(image.size) == sorted((header.width, header.height))
