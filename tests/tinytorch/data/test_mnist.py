"""MNIST's IDX files: both spellings, with and without compression, and everything that can be wrong with them."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from tinytorch.data import mnist
from tinytorch.errors import DataFileError

TRAIN, TEST = 40, 10
NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def idx_files(seed: int = 0) -> dict[str, bytes]:
    """The four files of a tiny MNIST: random pixels, labels 0 and 1 in turn."""
    rng = np.random.default_rng(seed)
    files = {}
    for images, labels, count in ((NAMES[0], NAMES[1], TRAIN), (NAMES[2], NAMES[3], TEST)):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        files[images] = struct.pack(">4I", 0x0803, count, 28, 28) + pixels.tobytes()
        files[labels] = struct.pack(">2I", 0x0801, count) + bytes(number % 2 for number in range(count))
    return files


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Put the files into `root`."""
    for name, data in files.items():
        (root / name).write_bytes(data)
    return root


def test_the_files_are_read(tmp_path: Path) -> None:
    """Train is divided by the share, test stays as it is, in the order of the file."""
    files = idx_files()
    data = mnist.load(write(tmp_path, files), 0, validation_share=0.2)
    assert [len(split) for split in data.splits().values()] == [32, 8, 10]
    assert data.test.pixels.tobytes() == files[NAMES[2]][16:]
    assert data.test.labels.tolist() == [0, 1] * 5
    assert data.classes == tuple("0123456789")


@pytest.mark.parametrize("spelling", ["{}", "{}.gz", "dotted", "dotted.gz"])
def test_all_spellings_give_the_same_data(tmp_path: Path, spelling: str) -> None:
    """Plain or gzip-compressed, with a dash or a dot in the name: the content decides."""
    plain, other = tmp_path / "plain", tmp_path / "other"
    plain.mkdir()
    other.mkdir()
    expected = mnist.load(write(plain, idx_files()), 0).digest()
    for name, data in idx_files().items():
        dotted = spelling.replace("dotted", name.replace("-idx", ".idx")).format(name)
        (other / dotted).write_bytes(gzip.compress(data) if dotted.endswith(".gz") else data)
    assert mnist.load(other, 0).digest() == expected


def test_files_lists_what_the_content_depends_on(tmp_path: Path) -> None:
    """The four files in a fixed order."""
    assert [path.name for path in mnist.files(write(tmp_path, idx_files()))] == list(NAMES)


@pytest.mark.parametrize(
    ("name", "data", "found"),
    [
        (NAMES[0], b"", "0 bytes where 16 should be"),
        (NAMES[0], struct.pack(">4I", 0x0801, TRAIN, 28, 28), "magic 0x0801"),
        (NAMES[0], struct.pack(">4I", 0x0803, TRAIN, 28, 27), "40 x 28 x 27"),
        (NAMES[0], struct.pack(">4I", 0x0803, 2**32 - 1, 28, 28), "4294967295 x 28 x 28"),
        (NAMES[0], struct.pack(">4I", 0x0803, 250_000, 28, 28) + bytes(99), "99 bytes where 196000000 should be"),
        (NAMES[0], idx_files()[NAMES[0]][:-1], "31359 bytes where 31360 should be"),
        (NAMES[0], idx_files()[NAMES[0]] + b"x", "more bytes"),
        (NAMES[1], struct.pack(">2I", 0x0801, TRAIN - 1) + bytes(TRAIN - 1), "39 labels for 40 images"),
        (NAMES[1], struct.pack(">2I", 0x0801, TRAIN) + bytes([10] * TRAIN), "class number 10"),
        (NAMES[3], gzip.compress(idx_files()[NAMES[3]], mtime=0)[:-9], "broken gzip data"),
        (NAMES[3], b"<html>not found</html>", "magic 0x3c68"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, name: str, data: bytes, found: str) -> None:
    """The line has the path, what was found and what was expected, and nothing large is allocated."""
    root = write(tmp_path, {**idx_files(), name: data})
    with pytest.raises(DataFileError, match=f"{name}: found .*{found}.*, expected IDX") as caught:
        mnist.load(root, 0)
    assert "\n" not in str(caught.value)


def test_a_digit_that_cannot_be_divided_is_an_error_of_the_file(tmp_path: Path) -> None:
    """One image of a digit makes no training and validation data."""
    labels = struct.pack(">2I", 0x0801, TRAIN) + bytes([2, *[0] * (TRAIN - 1)])
    root = write(tmp_path, {**idx_files(), NAMES[1]: labels})
    with pytest.raises(
        DataFileError, match=f"{NAMES[1]}: found class 2 has 1 images, too few for 2 parts, expected more"
    ):
        mnist.load(root, 0)


def test_a_missing_file_names_all_spellings(tmp_path: Path) -> None:
    """The error says which of the four is missing and how it may be called."""
    write(tmp_path, idx_files())
    (tmp_path / NAMES[3]).unlink()
    with pytest.raises(DataFileError, match=r"no t10k-labels-idx1-ubyte.gz, expected one of .*t10k-labels.idx1-ubyte"):
        mnist.load(tmp_path, 0)


def test_the_share_is_checked() -> None:
    """A share of more than a half is an error before any file is read."""
    with pytest.raises(ValueError, match=r"0\.01 <= validation_share <= 0\.5, not 0\.9"):
        mnist.load(None, 0, validation_share=0.9)
