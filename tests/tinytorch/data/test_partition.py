"""Dividing images: stratified, disjoint, always the same, and normalised by train alone."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.data.partition import Pool, channel_statistics, from_one_pool, from_train_and_test, stratified


def test_parts_are_disjoint_and_complete() -> None:
    """Every image is in exactly one part, and each part is in ascending order."""
    parts = stratified(np.arange(100) % 7, [0.2, 0.3])
    assert sorted(np.concatenate(parts).tolist()) == list(range(100))
    assert all((np.diff(part) > 0).all() for part in parts)


def test_every_class_is_divided_alike() -> None:
    """Each part has the rounded share of each class."""
    labels = np.repeat([0, 1, 2], [10, 20, 50])
    validation, test, train = stratified(labels, [0.1, 0.2])
    counts = [np.bincount(labels[part]).tolist() for part in (validation, test, train)]
    assert counts == [[1, 2, 5], [2, 4, 10], [7, 14, 35]]


def test_the_division_is_fixed() -> None:
    """These positions may never change: results that were published refer to them."""
    first, _ = stratified(np.zeros(12, np.int64), [0.5])
    assert first.tolist() == [3, 6, 7, 9, 10, 11]


def test_a_small_class_still_reaches_every_part() -> None:
    """Three images of a class make one for each of three parts; two are an error."""
    assert [len(part) for part in stratified(np.zeros(3, np.int64), [0.01, 0.01])] == [1, 1, 1]
    with pytest.raises(ValueError, match="class 0 has 2 images, too few for 3 parts"):
        stratified(np.zeros(2, np.int64), [0.01, 0.01])


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.0], [-0.1]])
def test_shares_must_leave_something(shares: list[float]) -> None:
    """Shares are positive and sum to less than 1."""
    with pytest.raises(ValueError, match="sum below 1"):
        stratified(np.zeros(10, np.int64), shares)


def test_statistics_are_those_of_numpy() -> None:
    """Mean and standard deviation per channel agree with NumPy's in float64."""
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 2, 3, 3), dtype=np.uint8)
    mean, std = channel_statistics(pixels, 255.0)
    scaled = pixels / 255.0
    np.testing.assert_allclose(mean, scaled.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(std, scaled.std(axis=(0, 2, 3)), rtol=1e-12)


def test_a_constant_channel_has_deviation_one() -> None:
    """Normalising it divides by 1 and not by 0."""
    assert channel_statistics(np.full((2, 1, 2, 2), 51, np.uint8), 255.0) == ((0.2,), (1.0,))


def test_test_images_never_touch_the_normalisation() -> None:
    """The statistics are those of what is left of train, whatever validation and test hold."""
    rng = np.random.default_rng(0)
    pool = Pool(rng.integers(0, 256, (40, 1, 2, 2), dtype=np.uint8), np.arange(40) % 2)
    bright = Pool(np.full((6, 1, 2, 2), 255, np.uint8), np.arange(6) % 2)
    data = from_train_and_test("x", ["a", "b"], pool, bright, 255.0, 0.25)
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 10, 6)
    assert (data.train.mean, data.train.std) == channel_statistics(data.train.pixels, 255.0)
    assert data.test.mean == data.train.mean


def test_one_pool_gives_three_splits() -> None:
    """The shares are those of the whole pool."""
    pool = Pool(np.zeros((20, 1, 2, 2), np.uint8), np.arange(20) % 2)
    data = from_one_pool("x", ["a", "b"], pool, 255.0, 0.1, 0.3)
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 2, 6)
