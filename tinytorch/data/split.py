"""The two values every data set is made of: a `Split` (images with labels) and a `Dataset` (three splits and class
names).

Pixels stay as they were read (uint8 where the files hold bytes); `Split.images` scales and normalises the rows it is
asked for, so that a data set costs one byte a pixel in memory and in the store. Reading files is the business of the
other modules.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.digest import arrays_digest

__all__ = ["Dataset", "Index", "Split", "random_split", "read_split"]

Index: TypeAlias = slice | NDArray[np.integer[Any]]

_ARRAYS = frozenset({"labels", "mean", "pixels", "scale", "std"})


@dataclass(frozen=True, eq=False)
class Split:
    """Hold N images (N, C, H, W), their class numbers (N,), and how pixels become network inputs.

    An input is ``(pixel / scale - mean) / std`` with one mean and one std per channel. Raises ValueError if the parts
    do not fit together. The arrays are read-only.
    """

    pixels: NDArray[Any]
    labels: NDArray[np.int64]
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.dtype not in (np.uint8, np.float32):
            found = f"{self.pixels.dtype} {self.pixels.shape}"
            raise ValueError(f"pixels must be uint8 or float32 of shape (N, C, H, W), not {found}")
        if self.labels.dtype != np.int64 or self.labels.shape != self.pixels.shape[:1]:
            found = f"{self.labels.dtype} {self.labels.shape}"
            raise ValueError(f"labels must be int64 of shape ({len(self.pixels)},), not {found}")
        if len(self.labels) and int(self.labels.min()) < 0:
            raise ValueError(f"labels must be class numbers from 0, not {int(self.labels.min())}")
        channels = self.pixels.shape[1]
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(f"mean and std need {channels} values, one per channel, not {self.mean} and {self.std}")
        if not all(math.isfinite(value) for value in (self.scale, *self.mean, *self.std)):
            raise ValueError(f"scale, mean and std must be finite, not {self.scale}, {self.mean} and {self.std}")
        if min(self.scale, *self.std) <= 0:
            raise ValueError(f"scale and std must be positive, not {self.scale} and {self.std}")
        for field in ("pixels", "labels"):
            frozen = getattr(self, field).view()
            frozen.flags.writeable = False
            object.__setattr__(self, field, frozen)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of one image."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    def images(self, index: Index = slice(None)) -> NDArray[np.float32]:
        """Return the images at `index` as float32 (n, C, H, W), scaled and normalised."""
        factor = [1.0 / (self.scale * std) for std in self.std]
        offset = [-mean / std for mean, std in zip(self.mean, self.std, strict=True)]
        images = self.pixels[index].astype(np.float32)
        images *= np.array(factor, dtype=np.float32)[:, None, None]
        images += np.array(offset, dtype=np.float32)[:, None, None]
        return images

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as named arrays; `from_arrays` is the inverse."""
        return {
            "pixels": self.pixels,
            "labels": self.labels,
            "scale": np.array([self.scale], dtype=np.float64),
            "mean": np.array(self.mean, dtype=np.float64),
            "std": np.array(self.std, dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Split:
        """Build a split from the arrays of `to_arrays`; raises ValueError for other names, types or shapes."""
        if arrays.keys() != _ARRAYS:
            raise ValueError(f"a split has the arrays {sorted(_ARRAYS)}, not {sorted(arrays)}")
        for name in ("mean", "scale", "std"):
            if arrays[name].dtype != np.float64 or arrays[name].ndim != 1:
                raise ValueError(f"{name} must be float64 with one axis, not {arrays[name].dtype} {arrays[name].shape}")
        if len(arrays["scale"]) != 1:
            raise ValueError(f"scale must hold one number, not {len(arrays['scale'])}")
        return cls(
            pixels=arrays["pixels"],
            labels=arrays["labels"],
            scale=float(arrays["scale"][0]),
            mean=tuple(arrays["mean"].tolist()),
            std=tuple(arrays["std"].tolist()),
        )

    def digest(self) -> str:
        """Return the sha256 (hex) of names, types, shapes and little-endian bytes of all arrays."""
        return arrays_digest("tinytorch split 1", self.to_arrays())


def read_split(arrays: Mapping[str, NDArray[Any]]) -> Split:
    """Return the split with these arrays; raises ValueError as `Split.from_arrays`."""
    return Split.from_arrays(arrays)


def random_split(shape: tuple[int, ...], classes: int, count: int, rng: np.random.Generator) -> Split:
    """Return images (C, H, W) of normal random numbers, all of class 0: what a pass is tried out on."""
    pixels = rng.standard_normal((count, *shape)).astype(np.float32)
    return Split(pixels, np.zeros(count, np.int64), 1.0, (0.0,) * shape[0], (1.0,) * shape[0])


@dataclass(frozen=True, eq=False)
class Dataset:
    """Hold the class names and three disjoint splits: train to fit, validation to choose, test to report."""

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split

    def __post_init__(self) -> None:
        for role, split in self.splits().items():
            if not len(split):
                raise ValueError(f"the {role} split of {self.name} is empty")
            if split.shape != self.train.shape:
                raise ValueError(f"{role} images are {split.shape}, train images {self.train.shape}")
            if int(split.labels.max()) >= len(self.classes):
                raise ValueError(f"{role} has class number {int(split.labels.max())} of {len(self.classes)} classes")

    def splits(self) -> dict[str, Split]:
        """Return the splits by role: train, validation, test."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def counts(self) -> dict[str, int]:
        """Return by role how many images there are."""
        return {role: len(split) for role, split in self.splits().items()}

    def digest(self) -> str:
        """Return the sha256 (hex) of class names and splits; the data set's own name does not count."""
        state = hashlib.sha256(b"tinytorch dataset 1\n")
        for name in self.classes:
            state.update(f"{len(name.encode())}:".encode() + name.encode())
        for role, split in self.splits().items():
            state.update(f"\n{role} {split.digest()}".encode())
        return state.hexdigest()
