"""Split and Dataset: what they check, how pixels become inputs, and when digests change."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tinytorch.data.split import Dataset, Split


def colour_split(seed: int = 0) -> Split:
    """Six random colour images of 2x4 pixels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (6, 3, 2, 4), dtype=np.uint8)
    return Split(pixels, np.arange(6), 255.0, (0.1, 0.2, 0.3), (1.0, 2.0, 0.5))


def test_images_are_scaled_and_normalised_per_channel() -> None:
    """An input is (pixel / scale - mean) / std, in float32."""
    split = colour_split()
    mean, std = (np.array(values)[:, None, None] for values in (split.mean, split.std))
    expected = (split.pixels.astype(np.float64) / split.scale - mean) / std
    assert split.images().dtype == np.float32
    np.testing.assert_allclose(split.images(), expected, rtol=1e-5, atol=1e-6)


def test_images_takes_a_slice_or_positions() -> None:
    """Both ways of asking give the same rows, in the order asked for."""
    split = colour_split()
    np.testing.assert_array_equal(split.images(slice(1, 3)), split.images(np.array([1, 2])))
    np.testing.assert_array_equal(split.images(np.array([4, 0])), split.images()[[4, 0]])


def test_a_split_is_read_only() -> None:
    """Neither pixels nor labels can be changed, and making a split does not freeze the caller's arrays."""
    pixels = np.zeros((1, 1, 2, 2), np.uint8)
    split = Split(pixels, np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="read-only"):
        split.pixels[0] = 1
    pixels[0] = 1


def test_arrays_round_trip() -> None:
    """A split rebuilt from its arrays has the same content."""
    split = colour_split()
    again = Split.from_arrays(split.to_arrays())
    assert (again.digest(), again.mean, again.shape, len(again)) == (split.digest(), split.mean, (3, 2, 4), 6)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pixels", np.zeros((6, 3, 8), np.uint8), "shape"),
        ("pixels", np.zeros((6, 3, 2, 4), np.float64), "float64"),
        ("labels", np.zeros(5, np.int64), "labels"),
        ("labels", np.full(6, -1), "from 0, not -1"),
        ("mean", (0.0,), "3 values"),
        ("std", (1.0, 0.0, 1.0), "positive"),
        ("scale", float("nan"), "finite"),
    ],
)
def test_parts_that_do_not_fit_are_refused(field: str, value: object, message: str) -> None:
    """Wrong shapes, types and numbers are errors when a split is made."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(colour_split(), **{field: value})


@pytest.mark.parametrize("change", [{"mean": np.zeros(3, np.float32)}, {"scale": np.ones(2)}, {"extra": np.zeros(1)}])
def test_from_arrays_refuses_other_arrays(change: dict[str, np.ndarray]) -> None:
    """Arrays of another name, type or length are errors."""
    with pytest.raises(ValueError, match=r"must|has"):
        Split.from_arrays({**colour_split().to_arrays(), **change})


@pytest.mark.parametrize(
    "change", [{"scale": 256.0}, {"labels": np.zeros(6, np.int64)}, {"pixels": np.zeros((6, 3, 2, 4), np.uint8)}]
)
def test_any_change_of_content_changes_the_digest(change: dict[str, object]) -> None:
    """Pixels, labels and normalisation all count."""
    split = colour_split()
    assert dataclasses.replace(split, **change).digest() != split.digest()


def test_a_view_with_strides_has_the_digest_of_its_copy() -> None:
    """The digest is of the values, not of how they lie in memory."""
    split = colour_split()
    strided = dataclasses.replace(split, pixels=np.asfortranarray(split.pixels))
    assert strided.digest() == split.digest()


def test_the_digest_of_a_dataset_leaves_out_its_name() -> None:
    """Equal content under another name has an equal digest; the order of the splits counts."""
    train, other = colour_split(1), colour_split(2)
    classes = tuple("abcdef")
    digest = Dataset("one", classes, train, other, other).digest()
    assert digest == Dataset("two", classes, train, other, other).digest()
    assert digest != Dataset("one", classes, other, train, other).digest()
    assert digest != Dataset("one", tuple("abcdeg"), train, other, other).digest()


def test_a_dataset_checks_its_splits() -> None:
    """Too few class names, other image shapes and empty splits are errors."""
    split = colour_split()
    small = Split(np.zeros((1, 1, 2, 4), np.uint8), np.zeros(1, np.int64))
    empty = Split(np.zeros((0, 3, 2, 4), np.uint8), np.zeros(0, np.int64), mean=(0.0,) * 3, std=(1.0,) * 3)
    for classes, test, message in (
        ("abcde", split, "class number 5"),
        ("abcdef", small, "test images"),
        ("abcdef", empty, "empty"),
    ):
        with pytest.raises(ValueError, match=message):
            Dataset("x", tuple(classes), split, split, test)
