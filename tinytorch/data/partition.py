"""Divide labelled images into train, validation and test splits that never depend on an experiment's seed.

The order within a class comes from the raw words of PCG64, a stream that NumPy guarantees across releases, under one
constant seed: the same files give the same splits on every machine. Reading the files is the business of the other
modules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.split import Dataset, Split

__all__ = ["Pool", "channel_statistics", "from_one_pool", "from_train_and_test", "stratified"]

_SPLIT_SEED = 1797  # any constant does; this one is the number of digits that ship with the package
_ROWS_AT_ONCE = 1024  # np.bincount widens to int64: 8 MB for 1,024 images of 32x32, 400 MB for all of CIFAR-10


@dataclass(frozen=True, eq=False)
class Pool:
    """Hold images that are not yet divided: uint8 pixels (N, C, H, W) and class numbers (N,)."""

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def stratified(labels: NDArray[np.int64], shares: Sequence[float]) -> list[NDArray[np.int64]]:
    """Return one sorted index array per share, and a last one with what remains; every class is divided alike.

    A class of n images gives round(share * n) of them, but at least one to every part; raises ValueError where a class
    is too small for that, or where the shares leave nothing over.
    """
    if not all(share > 0 for share in shares) or sum(shares) >= 1:
        raise ValueError(f"shares must be positive with a sum below 1, not {list(shares)}")
    order = np.argsort(np.random.PCG64(_SPLIT_SEED).random_raw(len(labels)), kind="stable")
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels).tolist():
        members = order[labels[order] == label]
        counts = [max(1, round(share * len(members))) for share in shares]
        if sum(counts) >= len(members):
            raise ValueError(f"class {label} has {len(members)} images, too few for {len(shares) + 1} parts")
        for part, piece in zip(parts, np.split(members, np.cumsum(counts)), strict=True):
            part.append(piece)
    return [np.sort(np.concatenate(part)) for part in parts]


def channel_statistics(pixels: NDArray[np.uint8], scale: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the mean and the standard deviation per channel of pixels / scale; a constant channel has deviation 1.

    Counts of the 256 values are summed exactly, so that the result is the same on every machine.
    """
    means, deviations = [], []
    values = range(256)
    for channel in range(pixels.shape[1]):
        counts = np.zeros(256, dtype=np.int64)
        for start in range(0, len(pixels), _ROWS_AT_ONCE):
            rows = pixels[start : start + _ROWS_AT_ONCE, channel]
            counts += np.bincount(rows.ravel(), minlength=256)
        total = int(counts.sum())
        first = sum(value * count for value, count in zip(values, counts.tolist(), strict=True))
        second = sum(value * value * count for value, count in zip(values, counts.tolist(), strict=True))
        spread = second * total - first * first  # total^2 times the variance, an exact integer
        means.append(first / total / scale)
        deviations.append(math.sqrt(spread) / total / scale if spread else 1.0)
    return tuple(means), tuple(deviations)


def from_one_pool(
    name: str, classes: Sequence[str], pool: Pool, scale: float, validation_share: float, test_share: float
) -> Dataset:
    """Divide one pool into the three splits, normalised by the statistics of train."""
    validation, test, train = stratified(pool.labels, [validation_share, test_share])
    parts = [Pool(pool.pixels[index], pool.labels[index]) for index in (train, validation, test)]
    return _dataset(name, classes, parts, scale)


def from_train_and_test(
    name: str, classes: Sequence[str], train: Pool, test: Pool, scale: float, validation_share: float
) -> Dataset:
    """Carve the validation split from `train`, keep `test` as it is, normalise by what is left of train."""
    validation, rest = stratified(train.labels, [validation_share])
    parts = [Pool(train.pixels[index], train.labels[index]) for index in (rest, validation)]
    return _dataset(name, classes, [*parts, test], scale)


def _dataset(name: str, classes: Sequence[str], parts: Sequence[Pool], scale: float) -> Dataset:
    mean, std = channel_statistics(parts[0].pixels, scale)
    splits: list[Any] = [Split(part.pixels, part.labels, scale, mean, std) for part in parts]
    return Dataset(name, tuple(classes), *splits)
