"""Made-up images for tests and for trying things out: one smooth random pattern per class, plus gaussian noise.

It needs no file and never depends on the experiment's seed; `variant` chooses another data set of the same kind. With
little `noise` every model learns it; around 3 even a good one makes mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinytorch.arguments import Argument, integer, number, with_defaults
from tinytorch.data.split import Dataset, Split

__all__ = ["ARGS", "classes_count", "files", "load", "shape"]

ARGS: dict[str, Argument] = {
    "channels": 1,
    "classes": 10,
    "noise": 1.0,
    "size": 8,
    "test": 200,
    "train": 600,
    "validation": 200,
    "variant": 0,
}

_MOST_VALUES = 1 << 28  # 1 GiB of float32 in one split


@dataclass(frozen=True)
class _Settings:
    """The checked arguments."""

    channels: int
    classes: int
    noise: float
    size: int
    test: int
    train: int
    validation: int
    variant: int

    @classmethod
    def of(cls, args: dict[str, Argument]) -> _Settings:
        chosen = with_defaults("synthetic", ARGS, args)
        settings = cls(
            channels=integer("channels", chosen["channels"], 1, 64),
            classes=integer("classes", chosen["classes"], 2, 1000),
            noise=number("noise", chosen["noise"], 0, 100),
            size=integer("size", chosen["size"], 1, 512),
            test=integer("test", chosen["test"], 1, 10_000_000),
            train=integer("train", chosen["train"], 1, 10_000_000),
            validation=integer("validation", chosen["validation"], 1, 10_000_000),
            variant=integer("variant", chosen["variant"], 0, 2**31 - 1),
        )
        most = _MOST_VALUES // (settings.channels * settings.size**2)
        if max(settings.test, settings.train, settings.validation, settings.classes) > most:
            raise ValueError(f"train, validation and test must be at most {most} images of this size")
        return settings


def load(root: Path | None, seed: int, **args: Argument) -> Dataset:
    """Return the images of these arguments; neither `root` nor `seed` changes anything."""
    settings = _Settings.of(args)
    rng = np.random.default_rng(settings.variant)
    patterns = _smooth(rng.standard_normal((settings.classes, *_shape(settings)), dtype=np.float32))
    counts = (settings.train, settings.validation, settings.test)
    train, validation, test = (_draw(patterns, count, settings.noise, rng) for count in counts)
    names = tuple(f"class{number}" for number in range(settings.classes))
    return Dataset("synthetic", names, train, validation, test)


def shape(**args: Argument) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image."""
    return _shape(_Settings.of(args))


def classes_count(**args: Argument) -> int | None:
    """Return the number of classes."""
    return _Settings.of(args).classes


def files(root: Path | None, **args: Argument) -> list[Path]:
    """Return the files that the content depends on: none."""
    _Settings.of(args)
    return []


def _shape(settings: _Settings) -> tuple[int, int, int]:
    return settings.channels, settings.size, settings.size


def _smooth(noise: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average over 3x3 neighbourhoods (wrapping around) to give a convolution structure; then to unit deviation."""
    rows = noise + np.roll(noise, 1, axis=2) + np.roll(noise, -1, axis=2)
    smooth = rows + np.roll(rows, 1, axis=3) + np.roll(rows, -1, axis=3)
    deviation = smooth.std(axis=(1, 2, 3), keepdims=True)
    deviation[deviation == 0] = 1
    smooth /= deviation
    return smooth


def _draw(patterns: NDArray[np.float32], count: int, noise: float, rng: np.random.Generator) -> Split:
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(patterns))
    pixels = rng.standard_normal((count, *patterns.shape[1:]), dtype=np.float32)
    pixels *= np.float32(noise)
    pixels += patterns[labels]
    channels = patterns.shape[1]
    return Split(pixels, labels, 1.0, (0.0,) * channels, (1.0,) * channels)
