"""MNIST, and everything in its format (Fashion-MNIST, KMNIST): four IDX files, plain or gzip-compressed, in `root`.

The format is that of Y. LeCun's MNIST page: big-endian magic number (0x0801 labels, 0x0803 images), one 32-bit size
per axis, then one byte per value. `validation_share` of train becomes the validation split. It downloads nothing.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from tinytorch.arguments import Argument, number, with_defaults
from tinytorch.data.partition import Pool, from_train_and_test
from tinytorch.data.reading import find, open_data, read_end, read_exactly, require_folder
from tinytorch.data.split import Dataset
from tinytorch.errors import DataFileError

__all__ = ["ARGS", "classes_count", "files", "load", "shape"]

ARGS: dict[str, Argument] = {"validation_share": 0.1}

_HOLDS = "the four IDX files, e.g. train-images-idx3-ubyte.gz"
_IMAGES = "IDX images: magic 0x0803, at most 250,000 x 28 x 28 bytes"
_LABELS = "IDX labels: magic 0x0801, one byte from 0 to 9 per image"
_MOST = 250_000  # the largest in this format, EMNIST digits, has 240,000; a few bytes of gzip can claim them all


def load(root: Path | None, seed: int, **args: Argument) -> Dataset:
    """Read the four files; raises DataFileError if one is missing or wrong. `seed` changes nothing."""
    share = _validation_share(args)
    train_images, train_labels, test_images, test_labels = files(root, **args)
    train = _read_pool(train_images, train_labels)
    test = _read_pool(test_images, test_labels)
    try:
        return from_train_and_test("mnist", [str(digit) for digit in range(10)], train, test, 255.0, share)
    except ValueError as error:  # a digit with too few images to divide
        raise DataFileError(train_labels, str(error), "more images of every digit") from error


def shape(**args: Argument) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image."""
    _validation_share(args)
    return 1, 28, 28


def classes_count(**args: Argument) -> int | None:
    """Return the number of classes."""
    _validation_share(args)
    return 10


def files(root: Path | None, **args: Argument) -> list[Path]:
    """Return the files that the content depends on: images and labels of train, then of test."""
    _validation_share(args)
    folder = require_folder(root, "mnist", _HOLDS)
    kinds = ("images-idx3", "labels-idx1")
    return [find(folder, _spellings(part, kind)) for part in ("train", "t10k") for kind in kinds]


def _validation_share(args: dict[str, Argument]) -> float:
    chosen = with_defaults("mnist", ARGS, args)
    return number("validation_share", chosen["validation_share"], 0.01, 0.5)


def _spellings(part: str, kind: str) -> list[str]:
    """Both spellings in circulation (the dot is that of some archives), each with and without compression."""
    names = [f"{part}-{kind}-ubyte", f"{part}-{kind.replace('-', '.')}-ubyte"]
    return [name + suffix for name in names for suffix in (".gz", "")]


def _read_pool(images: Path, labels: Path) -> Pool:
    with open_data(images, _IMAGES) as stream:
        magic, count, height, width = struct.unpack(">4I", read_exactly(stream, 16, images, _IMAGES))
        if (magic, height, width) != (0x0803, 28, 28) or not 0 < count <= _MOST:
            raise DataFileError(images, f"magic {magic:#06x}, {count} x {height} x {width}", _IMAGES)
        pixels = read_exactly(stream, count * 28 * 28, images, _IMAGES)
        read_end(stream, images, _IMAGES)
    with open_data(labels, _LABELS) as stream:
        magic, labelled = struct.unpack(">2I", read_exactly(stream, 8, labels, _LABELS))
        if (magic, labelled) != (0x0801, count):
            raise DataFileError(labels, f"magic {magic:#06x}, {labelled} labels for {count} images", _LABELS)
        numbers = np.frombuffer(read_exactly(stream, count, labels, _LABELS), dtype=np.uint8)
        read_end(stream, labels, _LABELS)
    if numbers.max() > 9:
        raise DataFileError(labels, f"class number {numbers.max()}", _LABELS)
    return Pool(np.frombuffer(pixels, dtype=np.uint8).reshape(count, 1, 28, 28), numbers.astype(np.int64))
