"""Datasets, batches, and the two image augmentations of the course.

Shuffling and augmentation draw from NumPy's global state, so np.random.seed makes them repeatable.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from tinytorch.core.function import Array
from tinytorch.core.tensor import Tensor

__all__ = ["Compose", "DataLoader", "Dataset", "RandomCrop", "RandomHorizontalFlip", "TensorDataset"]

T = TypeVar("T", Tensor, Array)


class Dataset(ABC):
    """A finite sequence of samples."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of samples."""

    @abstractmethod
    def __getitem__(self, idx: int) -> Any:
        """Return sample `idx`, usually a tuple such as (features, label)."""


class TensorDataset(Dataset):
    """Samples that are rows of tensors: sample i is (t[i] for each tensor).

    Raises ValueError unless all have the same length along axis 0, TypeError for what is no Tensor.
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise ValueError("TensorDataset needs at least one tensor.")
        if not all(isinstance(t, Tensor) for t in tensors):
            kinds = ", ".join(type(t).__name__ for t in tensors)
            raise TypeError(f"TensorDataset needs Tensors, but got {kinds}. Wrap arrays: Tensor(x).")
        lengths = [t.shape[0] if t.ndim else 0 for t in tensors]
        if len(set(lengths)) != 1:
            raise ValueError(
                f"TensorDataset needs tensors of equal length along axis 0, but the shapes are "
                f"{[t.shape for t in tensors]}. Every sample needs one row in each."
            )
        self.tensors = tensors

    def __len__(self) -> int:
        """Return the common length."""
        return self.tensors[0].shape[0]

    def __getitem__(self, idx: int) -> tuple[Tensor, ...]:
        """Return row `idx` of every tensor; raise IndexError outside 0..len-1."""
        if not 0 <= idx < len(self):
            raise IndexError(
                f"Sample {idx} does not exist: the dataset holds {len(self)}, numbered 0 to {len(self) - 1}."
            )
        return tuple(Tensor(t.data[idx]) for t in self.tensors)


class DataLoader:
    """Iterate over a dataset in batches; the last may be smaller. `shuffle` draws a new order for each pass.

    A batch is a tuple of Tensors, one for each part of a sample, stacked along a new first axis.
    """

    def __init__(self, dataset: Dataset, batch_size: int, shuffle: bool = False) -> None:
        if batch_size < 1:
            raise ValueError(f"A batch holds at least one sample, but batch_size is {batch_size}.")
        self.dataset, self.batch_size, self.shuffle = dataset, int(batch_size), shuffle

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.dataset) / self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        """Yield the batches of one pass."""
        count = len(self.dataset)
        order = np.random.permutation(count) if self.shuffle else np.arange(count)
        for start in range(0, count, self.batch_size):
            chosen = order[start : start + self.batch_size]
            if type(self.dataset) is TensorDataset:
                yield tuple(Tensor(t.data[chosen]) for t in self.dataset.tensors)
            else:
                yield _stacked([self.dataset[int(i)] for i in chosen])


def _stacked(samples: Sequence[Any]) -> tuple[Tensor, ...]:
    rows = [s if isinstance(s, tuple | list) else (s,) for s in samples]
    return tuple(
        Tensor(np.stack([np.asarray(part, np.float32) for part in column])) for column in zip(*rows, strict=True)
    )


class RandomHorizontalFlip:
    """Mirror an image left to right with probability `p`; ValueError for p outside [0, 1].

    A three-axis image is (C, H, W) if its first axis is at most 4, else (H, W, C); otherwise width is the last axis.
    """

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"RandomHorizontalFlip needs a probability between 0 and 1, but got p={p}.")
        self.p = p

    def __call__(self, x: T) -> T:
        """Return the image or its mirror image, as the kind of object it came."""
        if np.random.random() >= self.p:
            return x
        pixels = x.data if isinstance(x, Tensor) else x
        flipped = np.ascontiguousarray(np.flip(pixels, axis=-1 if _is_channels_first(pixels) else 1))
        return Tensor(flipped) if isinstance(x, Tensor) else flipped


class RandomCrop:
    """Pad an image by `padding` zeros on each side and cut out a random window of `size` (an int or (height, width)).

    A three-axis image is (C, H, W) if its first axis is at most 4, else (H, W, C); two axes are (H, W).
    """

    def __init__(self, size: int | tuple[int, int], padding: int = 4) -> None:
        self.size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
        self.padding = padding

    def __call__(self, x: T) -> T:
        """Return the window, as the kind of object the image came; ValueError if the padded image is smaller."""
        pixels = x.data if isinstance(x, Tensor) else x
        if pixels.ndim not in (2, 3):
            raise ValueError(f"RandomCrop needs one image with 2 or 3 axes, but got shape {pixels.shape}.")
        first = pixels.ndim - 2 if _is_channels_first(pixels) else 0
        margins = [(self.padding, self.padding) if first <= a < first + 2 else (0, 0) for a in range(pixels.ndim)]
        padded = np.pad(pixels, margins)
        spare = [padded.shape[first + a] - self.size[a] for a in (0, 1)]
        if min(spare) < 0:
            raise ValueError(
                f"RandomCrop cannot cut {self.size} out of an image of shape {pixels.shape} padded by {self.padding}."
            )
        top, left = (int(np.random.randint(0, s + 1)) for s in spare)
        window = (slice(top, top + self.size[0]), slice(left, left + self.size[1]))
        cut = np.ascontiguousarray(padded[(slice(None),) * first + window])
        return Tensor(cut) if isinstance(x, Tensor) else cut


class Compose:
    """Apply transformations one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, x: Any) -> Any:
        """Return the image after all of them."""
        for transform in self.transforms:
            x = transform(x)
        return x


def _is_channels_first(pixels: Array) -> bool:
    return pixels.ndim != 3 or pixels.shape[0] <= 4
