"""The made-up data set."""

from __future__ import annotations

import numpy as np
import pytest

from tinytorch.data import synthetic


def test_arguments_set_sizes() -> None:
    """Counts, channels, size and classes are as asked for, and labels are balanced."""
    data = synthetic.load(None, 0, train=30, validation=10, test=20, channels=3, size=5, classes=5)
    assert [len(split) for split in data.splits().values()] == [30, 10, 20]
    assert data.train.shape == (3, 5, 5)
    assert np.bincount(data.train.labels).tolist() == [6] * 5


def test_variant_changes_the_data_and_the_seed_does_not() -> None:
    """An experiment over seeds sees the same data; another variant is another data set."""
    digest = synthetic.load(None, 0).digest()
    assert synthetic.load(None, 7).digest() == digest
    assert synthetic.load(None, 0, variant=1).digest() != digest


def test_images_of_a_class_are_alike() -> None:
    """The nearest class mean of train tells the classes of test, so there is something to learn."""
    data = synthetic.load(None, 0)
    train = data.train.images().reshape(len(data.train), -1)
    means = np.stack([train[data.train.labels == label].mean(axis=0) for label in range(10)])
    test = data.test.images().reshape(len(data.test), -1)
    nearest = ((test[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == data.test.labels).mean() > 0.9


def test_without_noise_a_class_is_one_image() -> None:
    """`noise` is the only difference between images of a class."""
    split = synthetic.load(None, 0, noise=0).train
    assert len(np.unique(split.pixels.reshape(len(split), -1), axis=0)) == 10


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"classes": 1}, "classes must be an integer from 2 to 1000, not 1"),
        ({"noise": "much"}, "noise must be a number"),
        ({"sizes": 8}, "did you mean 'size'"),
        ({"size": 512, "channels": 64}, "must be at most 16 images of this size"),
    ],
)
def test_wrong_arguments_say_what_is_valid(args: dict[str, int], message: str) -> None:
    """Ranges are part of the message, and the product of all sizes is bounded too."""
    with pytest.raises(ValueError, match=message):
        synthetic.load(None, 0, **args)
