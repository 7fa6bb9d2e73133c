"""CIFAR-10's binary files and pictures: where they may lie, and everything that can be wrong with them."""

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


def write_pictures(root: Path, per_class: int = 2) -> Path:
    """Write the same pictures as `write_batches` would have room for, as PNG files by class."""
    image = pytest.importorskip("PIL.Image", reason='pictures need pip install "tinytorch-pipeline[images]"')
    rng = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in cifar10._CLASSES:
            (root / part / name).mkdir(parents=True)
            for number in range(per_class):
                pixels = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
                image.fromarray(pixels).save(root / part / name / f"{number:04}.png")
    return root


def test_pictures_by_class_are_the_same_data_set(tmp_path: Path) -> None:
    """Of the same pictures both forms give the same pixels, classes and shapes; only their order differs."""
    pictures = cifar10.load(write_pictures(tmp_path / "pictures"), 0, validation_share=0.4)
    assert pictures.name == "cifar10"
    assert pictures.classes == cifar10._CLASSES
    assert {role: len(split) for role, split in pictures.splits().items()} == {
        "train": 10,
        "validation": 10,
        "test": 20,
    }
    root = tmp_path / "binary"
    root.mkdir()
    table = np.concatenate(
        [pictures.test.labels[:, None].astype(np.uint8), pictures.test.pixels.reshape(20, -1)], axis=1
    )
    for name in NAMES:
        (root / name).write_bytes(table.tobytes())
    binary = cifar10.load(root, 0)
    np.testing.assert_array_equal(binary.test.pixels, pictures.test.pixels)
    np.testing.assert_array_equal(binary.test.labels, pictures.test.labels)
    assert len(cifar10.files(tmp_path / "pictures")) == 40


def test_pictures_of_other_classes_are_refused(tmp_path: Path) -> None:
    """A folder that is missing or does not belong is named, with the ten that do."""
    root = write_pictures(tmp_path)
    (root / "test" / "eel").mkdir()
    with pytest.raises(DataFileError, match=r"test: found eel/, expected the ten classes airplane, .*, truck"):
        cifar10.files(root)
    (root / "test" / "eel").rename(tmp_path / "eel")
    (root / "train" / "cat").rename(tmp_path / "cat")
    with pytest.raises(DataFileError, match=r"train: found no cat/, expected the ten classes"):
        cifar10.load(root, 0)


def test_a_folder_with_neither_form_is_refused(tmp_path: Path) -> None:
    """The error names both forms; of the pickled version it says why not."""
    with pytest.raises(
        DataFileError, match=r"found no data_batch_1\.bin and no train/ with test/, expected .*pictures"
    ):
        cifar10.load(tmp_path, 0)
    (tmp_path / "cifar-10-batches-py").mkdir()
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").touch()
    with pytest.raises(DataFileError, match=r"found the version for Python, which is pickled, expected the binary"):
        cifar10.load(tmp_path, 0)
