"""Laws that every data set in the table obeys. Those that read files get tiny ones."""

from __future__ import annotations

import importlib
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import tinytorch.data
from tinytorch.data import DATASETS, load_dataset_module
from tinytorch.data.split import Dataset, Split


def no_files(root: Path) -> None:
    """Nothing to read."""


def idx_files(root: Path) -> None:
    """40 training and 20 test images of MNIST's format."""
    for part, count in (("train", 40), ("t10k", 20)):
        pixels = np.random.default_rng(count).integers(0, 256, (count, 784), dtype=np.uint8)
        header = struct.pack(">4I", 0x0803, count, 28, 28)
        (root / f"{part}-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
        labels = bytes(number % 10 for number in range(count))
        (root / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x0801, count) + labels)


def cifar_files(root: Path) -> None:
    """Six batches of 20 images."""
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        table = np.random.default_rng(0).integers(0, 256, (20, 3073), dtype=np.uint8)
        table[:, 0] = np.arange(20) % 10
        (root / name).write_bytes(table.tobytes())


def picture_files(root: Path) -> None:
    """Two classes of ten pictures."""
    image = pytest.importorskip("PIL.Image", reason='pictures need pip install "tinytorch-pipeline[images]"')
    for name, brightness in (("cat", 10), ("dog", 200)):
        (root / name).mkdir()
        for number in range(10):
            image.new("RGB", (6, 6), (brightness, number, 0)).save(root / name / f"{number}.png")


WRITERS: dict[str, Callable[[Path], None]] = {
    "cifar10": cifar_files,
    "digits": no_files,
    "image_folder": picture_files,
    "mnist": idx_files,
    "synthetic": no_files,
}


OF_TEXT = {"text"}  # a file and no folder, tokens and no images: see tests/tinytorch/data/test_text_dataset.py


@pytest.fixture(params=sorted(set(DATASETS) - OF_TEXT))
def name(request: pytest.FixtureRequest) -> str:
    """The name of each data set in turn."""
    return str(request.param)


@pytest.fixture
def data(name: str, tmp_path: Path) -> Dataset:
    """The data set with its default arguments."""
    WRITERS[name](tmp_path)
    loaded = load_dataset_module(name).load(tmp_path, 0)
    assert isinstance(loaded, Dataset)
    return loaded


def test_every_module_is_in_the_table() -> None:
    """A module with `load` and `shape` is a data set, and none is missing from the table."""
    folder = Path(tinytorch.data.__file__).parent
    modules = [importlib.import_module(f"tinytorch.data.{path.stem}") for path in folder.glob("[a-z]*.py")]
    found = {module.__name__ for module in modules if hasattr(module, "load") and hasattr(module, "shape")}
    assert found == set(DATASETS.values())


def test_listing_imports_no_numpy() -> None:
    """The table of data sets and of models is free of NumPy, for fast commands."""
    code = "import sys, tinytorch.data, tinytorch.models; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path(__file__).parents[2]).returncode == 0


def test_an_unknown_name_gets_the_nearest() -> None:
    """A misspelt data set is an error with the right spelling."""
    with pytest.raises(ValueError, match=r"no data set is named 'digit'; did you mean 'digits'\?"):
        load_dataset_module("digit")


def test_shape_and_classes_are_as_announced(name: str, data: Dataset) -> None:
    """What the module says before loading is what it loads."""
    module = load_dataset_module(name)
    assert module.shape() == data.train.shape
    assert module.classes_count() in (None, len(data.classes))
    assert data.name == name


def test_every_class_is_in_every_split(data: Dataset) -> None:
    """Stratification leaves no split without a class."""
    for split in data.splits().values():
        assert set(split.labels.tolist()) == set(range(len(data.classes)))


def test_loading_again_gives_the_same_content(name: str, data: Dataset, tmp_path: Path) -> None:
    """The digest is that of another load under another seed: the experiment's seed never moves an image."""
    assert load_dataset_module(name).load(tmp_path, 1).digest() == data.digest()


def test_inputs_are_normalised(data: Dataset) -> None:
    """Over train, inputs have mean 0 and deviation 1 in each channel, unless they were made up as float32."""
    images = data.train.images()
    assert images.dtype == np.float32
    assert np.isfinite(images).all()
    if data.train.pixels.dtype == np.uint8:
        varied = images.std(axis=(0, 2, 3)) > 0
        np.testing.assert_allclose(images.mean(axis=(0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(images.std(axis=(0, 2, 3))[varied], 1, atol=1e-4)


def test_splits_survive_as_arrays(data: Dataset) -> None:
    """What goes through the store comes back with the same digest."""
    for split in data.splits().values():
        assert Split.from_arrays(split.to_arrays()).digest() == split.digest()


def test_files_exist_and_stay_inside(name: str, data: Dataset, tmp_path: Path) -> None:
    """Every file the content depends on is in the root or in the package."""
    package = Path(tinytorch.data.__file__).parent
    for path in load_dataset_module(name).files(tmp_path):
        assert path.is_file()
        assert path.resolve().is_relative_to(tmp_path.resolve()) or path.is_relative_to(package)


def test_an_unknown_argument_is_refused(name: str, tmp_path: Path) -> None:
    """All four functions refuse an argument that is not in ARGS, with a ValueError."""
    module = load_dataset_module(name)
    calls = (lambda: module.load(tmp_path, 0, sizw=1), lambda: module.files(tmp_path, sizw=1))
    for call in (*calls, lambda: module.shape(sizw=1), lambda: module.classes_count(sizw=1)):
        with pytest.raises(ValueError, match=f"{name} has no argument 'sizw'"):
            call()


def test_a_missing_root_is_one_line(name: str, tmp_path: Path) -> None:
    """A data set of files says which folder it needs; the others need none."""
    module = load_dataset_module(name)
    if WRITERS[name] is no_files:
        assert len(module.load(None, 0).train)
        return
    with pytest.raises(ValueError, match=f"{name} needs a root"):
        module.load(None, 0)
    with pytest.raises(ValueError, match=r"nowhere: found nothing there, expected a folder with .+$"):
        module.load(tmp_path / "nowhere", 0)
