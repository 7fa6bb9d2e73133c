"""The digits that ship with the package."""

from __future__ import annotations

import gzip
import importlib.util
from pathlib import Path

import numpy as np
import pytest

from tinytorch.data import digits
from tinytorch.errors import DataFileError

TOOL = Path(__file__).parents[2] / "tools" / "make_digits.py"


def test_the_content_never_changes() -> None:
    """Pixels, labels, split and normalisation are those of the first release: published results refer to them."""
    assert digits.load(None, 0).digest() == "517a65fe819475d00b57592b33e6fbb6a56f50944ab356dae2e77dca6e483328"


def test_the_split_is_stratified() -> None:
    """1,079 images to train, 359 to validate, 359 to test, of each class a fifth twice."""
    data = digits.load(None, 0)
    assert [len(split) for split in data.splits().values()] == [1079, 359, 359]
    for split in (data.validation, data.test):
        assert set(np.bincount(split.labels).tolist()) == {35, 36, 37}


def test_no_image_is_in_two_splits() -> None:
    """The 1,797 images are all different, so the splits share none."""
    data = digits.load(None, 0)
    images = {image.tobytes() for split in data.splits().values() for image in split.pixels}
    assert len(images) == 1797


def test_the_file_is_what_the_script_makes() -> None:
    """The shipped bytes unpack to the records that the script takes from scikit-learn, if that is installed."""
    pytest.importorskip("sklearn", reason="the digits are made from scikit-learn's copy, which only this test needs")
    spec = importlib.util.spec_from_file_location("make_digits", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert gzip.decompress(module.TARGET.read_bytes()) == module.records()


def test_the_licence_is_beside_the_file() -> None:
    """Attribution travels with the data: creators, licence, what was changed."""
    (path,) = digits.files(None)
    text = (path.parent / "LICENSE-digits.txt").read_text()
    for part in ("E. Alpaydin and C. Kaynak", "CC BY 4.0", "test part", "Changes:"):
        assert part in text


def test_a_damaged_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy with a pixel of 17 is refused, with its path."""
    (path,) = digits.files(None)
    records = bytearray(gzip.decompress(path.read_bytes()))
    records[1] = 17
    damaged = tmp_path / "digits.bin.gz"
    damaged.write_bytes(gzip.compress(bytes(records)))
    monkeypatch.setattr(digits, "_FILE", damaged)
    with pytest.raises(DataFileError, match="pixel above 16"):
        digits.load(None, 0)
