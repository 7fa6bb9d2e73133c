"""CIFAR-10's binary files: where they may lie, and everything that can be wrong with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinytorch.data import cifar10
from tinytorch.errors import DataFileError

NAMES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
RECORD = 3073


def write_batches(root: Path, records: int = 20, seed: int = 0) -> Path:
    """Write the six files with random pixels; all ten classes occur in each."""
    rng = np.random.default_rng(seed)
    root.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        table = rng.integers(0, 256, (records, RECORD), dtype=np.uint8)
        table[:, 0] = np.arange(records) % 10
        (root / name).write_bytes(table.tobytes())
    return root


def test_the_batches_are_read(tmp_path: Path) -> None:
    """A record is a class byte and three planes of 32x32; train comes from five files, test from one."""
    root = write_batches(tmp_path)
    data = cifar10.load(root, 0, validation_share=0.2)
    assert [len(split) for split in data.splits().values()] == [80, 20, 20]
    raw = (root / "test_batch.bin").read_bytes()
    assert data.test.labels.tolist() == [*range(10)] * 2
    assert data.test.pixels[1].tobytes() == raw[RECORD + 1 : 2 * RECORD]
    assert data.classes[data.test.labels[3]] == "cat"


def test_the_folder_of_the_archive_is_found(tmp_path: Path) -> None:
    """Unpacking the original archive into `root` is enough."""
    inner = write_batches(tmp_path / "cifar-10-batches-bin")
    assert cifar10.load(tmp_path, 0).digest() == cifar10.load(inner, 0).digest()
    assert [path.name for path in cifar10.files(tmp_path)] == list(NAMES)


@pytest.mark.parametrize("size", [0, 1, RECORD - 1, 19 * RECORD, 20 * RECORD + 1, 21 * RECORD])
@pytest.mark.parametrize("name", ["data_batch_1.bin", "test_batch.bin"])
def test_a_wrong_size_is_one_line(tmp_path: Path, name: str, size: int) -> None:
    """A truncated or overlong file is noticed, also when it was cut between two records."""
    path = write_batches(tmp_path) / name
    path.write_bytes((path.read_bytes() * 2)[:size])
    with pytest.raises(
        DataFileError, match=r"\.bin: found \d+ bytes, expected 1 to 10,000 records of 3073 bytes"
    ) as caught:
        cifar10.load(tmp_path, 0)
    assert "\n" not in str(caught.value)


def test_a_file_larger_than_the_original_is_refused_unread(tmp_path: Path) -> None:
    """Sizes are checked before anything is read."""
    for path in cifar10.files(write_batches(tmp_path)):
        with path.open("r+b") as file:
            file.truncate(10_001 * RECORD)  # sparse: takes no space
    with pytest.raises(DataFileError, match="found 30733073 bytes"):
        cifar10.load(tmp_path, 0)


def test_a_class_number_above_nine_is_refused(tmp_path: Path) -> None:
    """A file of another format is noticed by its class bytes."""
    path = write_batches(tmp_path) / "data_batch_3.bin"
    path.write_bytes(b"\x0a" + path.read_bytes()[1:])
    with pytest.raises(
        DataFileError, match=r"data_batch_3\.bin: found class number 10, expected class numbers from 0 to 9"
    ):
        cifar10.load(tmp_path, 0)


def test_a_missing_batch_is_named(tmp_path: Path) -> None:
    """The first file that is not there is in the message."""
    (write_batches(tmp_path) / "data_batch_4.bin").unlink()
    with pytest.raises(DataFileError, match=r"found no data_batch_4\.bin, expected data_batch_4\.bin"):
        cifar10.load(tmp_path, 0)


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    """A batch that is a link to somewhere else is not read."""
    root = write_batches(tmp_path / "root")
    (root / "test_batch.bin").rename(tmp_path / "elsewhere.bin")
    (root / "test_batch.bin").symlink_to(tmp_path / "elsewhere.bin")
    with pytest.raises(DataFileError, match="leaves the data set's folder"):
        cifar10.load(root, 0)


def test_a_class_that_cannot_be_divided_is_an_error_of_the_folder(tmp_path: Path) -> None:
    """Batches of one record hold one image of one class five times over, or of five classes once each."""
    root = write_batches(tmp_path, records=1)
    for number in range(1, 6):
        (path,) = root.rglob(f"data_batch_{number}.bin")
        path.write_bytes(bytes([number]) + path.read_bytes()[1:])
    with pytest.raises(DataFileError, match="has 1 images, too few for 2 parts, expected more images of every class"):
        cifar10.load(root, 0)
