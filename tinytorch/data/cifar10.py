"""CIFAR-10 (A. Krizhevsky, 2009): 60,000 pictures of 32x32 pixels in ten classes, in either of two forms.

The binary version is data_batch_1.bin to data_batch_5.bin and test_batch.bin, in `root` or in cifar-10-batches-bin/
there; a record is one class byte and 3 x 32 x 32 colour bytes, channel by channel. The other form is picture files
(PNG, JPEG) in train/<class>/ and test/<class>/; reading them needs Pillow. `validation_share` of the training pictures
becomes the validation split. It downloads nothing, and does not read the version for Python, which is pickled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinytorch.arguments import Argument, number, with_defaults
from tinytorch.data import image_folder
from tinytorch.data.partition import Pool, from_train_and_test
from tinytorch.data.reading import find, inside, open_data, read_end, read_exactly, require_folder
from tinytorch.data.split import Dataset
from tinytorch.errors import DataFileError

__all__ = ["ARGS", "classes_count", "files", "load", "shape"]

ARGS: dict[str, Argument] = {"validation_share": 0.1}

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_FOLDER = "cifar-10-batches-bin"
_HOLDS = f"{_FILES[0]} to {_FILES[-1]}, {_FOLDER}/ with them, or train/ and test/ with a folder of pictures per class"
_RECORD = 1 + 3 * 32 * 32
_MOST = 10_000 * _RECORD  # the size of each original file
_EXPECTED = f"1 to 10,000 records of {_RECORD} bytes, as many as in {_FILES[0]}"


def load(root: Path | None, seed: int, **args: Argument) -> Dataset:
    """Read the six files, or all pictures; `seed` changes nothing.

    Raises DataFileError if something is missing or wrong, ImportError for pictures without Pillow.
    """
    share = _validation_share(args)
    folder = _folder(root)
    if _holds_pictures(folder):
        return replace(image_folder.load(folder, seed, size=32, validation_share=share), name="cifar10")
    paths = files(root, **args)
    size = paths[0].stat().st_size
    records = [_read_records(path, size) for path in paths]
    try:
        return from_train_and_test("cifar10", _CLASSES, _pool(records[:5]), _pool(records[5:]), 255.0, share)
    except ValueError as error:  # a class with too few images to divide
        raise DataFileError(paths[0].parent, str(error), "more images of every class") from error


def shape(**args: Argument) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image."""
    _validation_share(args)
    return 3, 32, 32


def classes_count(**args: Argument) -> int | None:
    """Return the number of classes."""
    _validation_share(args)
    return len(_CLASSES)


def files(root: Path | None, **args: Argument) -> list[Path]:
    """Return the files that the content depends on: the five batches, then the test batch; or all pictures."""
    _validation_share(args)
    folder = _folder(root)
    if _holds_pictures(folder):
        return image_folder.files(folder)
    return [find(folder, [name]) for name in _FILES]


def _folder(root: Path | None) -> Path:
    """Return the folder that holds the batches or train/ and test/; raises DataFileError if it holds neither."""
    folder = require_folder(root, "cifar10", _HOLDS)
    nested = folder / _FOLDER
    if nested.is_dir():
        return inside(folder, nested).resolve()
    if (folder / _FILES[0]).exists() or _holds_pictures(folder) or any((folder / name).exists() for name in _FILES):
        return folder
    if any((path / "data_batch_1").exists() for path in (folder, folder / "cifar-10-batches-py")):
        raise DataFileError(
            folder, "the version for Python, which is pickled", "the binary version (.bin), or pictures"
        )
    raise DataFileError(folder, f"no {_FILES[0]} and no train/ with test/", _HOLDS)


def _holds_pictures(folder: Path) -> bool:
    """Tell whether there are train/ and test/; raises DataFileError unless they have the ten classes."""
    parts = [folder / name for name in ("train", "test")]
    if (folder / _FILES[0]).exists() or not all(part.is_dir() for part in parts):
        return False
    for part in parts:
        found = {path.name for path in part.iterdir() if path.is_dir() and not path.name.startswith(".")}
        if odd := sorted(found.symmetric_difference(_CLASSES)):
            what = f"{odd[0]}/" if odd[0] in found else f"no {odd[0]}/"
            raise DataFileError(part, what, f"the ten classes {', '.join(_CLASSES)}")
    return True


def _validation_share(args: dict[str, Argument]) -> float:
    chosen = with_defaults("cifar10", ARGS, args)
    return number("validation_share", chosen["validation_share"], 0.01, 0.5)


def _read_records(path: Path, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Read one file of `size` bytes; all six have one size, so a file cut between two records is noticed."""
    found = path.stat().st_size
    if found != size or not 0 < size <= _MOST or size % _RECORD:
        raise DataFileError(path, f"{found} bytes", _EXPECTED)
    with open_data(path, _EXPECTED) as stream:
        records = np.frombuffer(read_exactly(stream, size, path, _EXPECTED), dtype=np.uint8).reshape(-1, _RECORD)
        read_end(stream, path, _EXPECTED)
    if records[:, 0].max() >= len(_CLASSES):
        raise DataFileError(path, f"class number {records[:, 0].max()}", "class numbers from 0 to 9")
    return records


def _pool(batches: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> Pool:
    pixels = np.concatenate([batch[:, 1:] for batch in batches]).reshape(-1, 3, 32, 32)
    return Pool(pixels, np.concatenate([batch[:, 0] for batch in batches]).astype(np.int64))
