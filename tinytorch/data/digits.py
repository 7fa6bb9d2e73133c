"""The 1,797 handwritten digits of 8x8 pixels that ship with the package: 17 grey levels (0..16), ten classes.

They are the test part of the UCI set "Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, CC BY
4.0; the licence is files/LICENSE-digits.txt) as scikit-learn bundles it, written by tests/tools/make_digits.py. The
split is stratified and always the same: 1,079 images to train, 359 to validate, 359 to test.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinytorch.arguments import Argument, with_defaults
from tinytorch.data.partition import Pool, from_one_pool
from tinytorch.data.reading import open_data, read_end, read_exactly
from tinytorch.data.split import Dataset
from tinytorch.errors import DataFileError

__all__ = ["ARGS", "classes_count", "files", "load", "shape"]

ARGS: dict[str, Argument] = {}

_FILE = Path(__file__).parent / "files" / "digits.bin.gz"
_COUNT = 1797
_RECORD = 1 + 64  # the class number, then 64 pixels row by row
_SCALE = 16.0  # the brightest pixel
_SHARE = 0.2  # of every class, once for validation and once for test


def load(root: Path | None, seed: int, **args: Argument) -> Dataset:
    """Return the digits; neither `root` nor `seed` changes anything.

    Raises DataFileError if the shipped file is damaged.
    """
    with_defaults("digits", ARGS, args)
    expected = f"gzip data with {_COUNT} records of {_RECORD} bytes"
    with open_data(_FILE, expected) as stream:
        data = read_exactly(stream, _COUNT * _RECORD, _FILE, expected)
        read_end(stream, _FILE, expected)
    records = np.frombuffer(data, dtype=np.uint8).reshape(_COUNT, _RECORD)
    if records[:, 0].max() > 9 or records[:, 1:].max() > _SCALE:
        raise DataFileError(_FILE, "a class number above 9 or a pixel above 16", expected)
    pool = Pool(records[:, 1:].reshape(_COUNT, 1, 8, 8), records[:, 0].astype(np.int64))
    return from_one_pool("digits", [str(digit) for digit in range(10)], pool, _SCALE, _SHARE, _SHARE)


def shape(**args: Argument) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image."""
    with_defaults("digits", ARGS, args)
    return 1, 8, 8


def classes_count(**args: Argument) -> int | None:
    """Return the number of classes."""
    with_defaults("digits", ARGS, args)
    return 10


def files(root: Path | None, **args: Argument) -> list[Path]:
    """Return the files that the content depends on: the one in the package."""
    with_defaults("digits", ARGS, args)
    return [_FILE]
