"""Digests of data files: what is noticed, what is remembered, and what is never taken on trust."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from pipeline.core.experiment import DataSpec
from pipeline.execute import sources
from pipeline.execute.sources import DataFiles
from pipeline.store.local import LocalStore
from tests.pipeline.execute.ticks import wait_for_a_tick
from tinytorch.errors import DataFileError

LONG_AGO = time.time() - 3600


def make_folder(root: Path) -> DataSpec:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            folder = root / part / name
            folder.mkdir(parents=True)
            (folder / "1.png").write_bytes(f"{part} {name}".encode())
    return DataSpec("image_folder", str(root))


def files_of(tmp_path: Path) -> DataFiles:
    return DataFiles(LocalStore(tmp_path / "store"), lambda module: "code")


def test_each_file_is_listed_with_its_place_and_content(tmp_path: Path) -> None:
    """The path within the folder and the SHA-256 of the bytes, nothing of the machine."""
    data = make_folder(tmp_path / "root")
    digests = files_of(tmp_path).digests(data)
    assert digests["train/cat/1.png"] == hashlib.sha256(b"train cat").hexdigest()
    assert sorted(digests) == [f"{part}/{name}/1.png" for part in ("test", "train") for name in ("cat", "dog")]


def test_very_many_files_have_one_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record does not repeat 60,000 of them; the entry says how many there are."""
    monkeypatch.setattr(sources, "_MOST_NAMED", 3)
    assert list(files_of(tmp_path).digests(make_folder(tmp_path / "root"))) == ["4 files"]


def test_another_place_gives_the_same_digests(tmp_path: Path) -> None:
    """Where a dataset lies is not part of its content."""
    here, there = make_folder(tmp_path / "here"), make_folder(tmp_path / "there")
    assert files_of(tmp_path).digests(here) == files_of(tmp_path).digests(there)


@pytest.mark.parametrize("change", ["content", "name", "new"])
@pytest.mark.parametrize("most_named", [1000, 3], ids=["each", "together"])
def test_a_change_is_noticed(tmp_path: Path, change: str, most_named: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Edited bytes, a renamed class folder and an added picture give other digests, remembered or not."""
    monkeypatch.setattr(sources, "_SETTLED_NS", -(10**18))  # remember at once
    monkeypatch.setattr(sources, "_MOST_NAMED", most_named)
    root = tmp_path / "root"
    data, files = make_folder(root), files_of(tmp_path)
    before = files.digests(data)
    assert files.digests(data) == before
    if change == "content":
        (root / "train/cat/1.png").write_bytes(b"TRAIN CAT")
        os.utime(root / "train/cat/1.png", (LONG_AGO, LONG_AGO))
    elif change == "name":
        for part in ("train", "test"):
            (root / part / "cat").rename(root / part / "bird")
    else:
        (root / "train/dog/2.png").write_bytes(b"")
    assert files.digests(data) != before


def test_bytes_changed_behind_an_old_time_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Size and modification time can be put back, the time of the change itself cannot."""
    monkeypatch.setattr(sources, "_SETTLED_NS", -(10**18))
    data, files = make_folder(tmp_path / "root"), files_of(tmp_path)
    picture = tmp_path / "root/train/cat/1.png"
    os.utime(picture, (LONG_AGO, LONG_AGO))
    before, status = files.digests(data), picture.stat()
    wait_for_a_tick(tmp_path)
    picture.write_bytes(b"TRAIN cat")
    os.utime(picture, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert picture.stat().st_size == status.st_size
    assert files.digests(data) != before


def test_a_link_to_another_folder_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`data/mnist` may point to one version today and to another tomorrow, with no file touched."""
    monkeypatch.setattr(sources, "_SETTLED_NS", -(10**18))
    make_folder(tmp_path / "v1")
    make_folder(tmp_path / "v2")
    (tmp_path / "v2/train/cat/1.png").write_bytes(b"another cat")
    link = tmp_path / "data"
    link.symlink_to("v1")
    data, files = DataSpec("image_folder", str(link)), files_of(tmp_path)
    before = files.digests(data)
    assert files.digests(data) == before
    link.unlink()
    link.symlink_to("v2")
    assert files.digests(data) != before


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """One line with the path, as for every other problem of a data file."""
    path = tmp_path / "gone.png"
    with pytest.raises(DataFileError, match=r"gone\.png: found no such file or directory"):
        files_of(tmp_path)._read("name", tmp_path, [path])


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the clock's granularity, a second write could leave size and time the same."""
    monkeypatch.setattr(sources, "_SETTLED_NS", 10**18)  # whatever was written is new
    store = LocalStore(tmp_path / "store")
    DataFiles(store, lambda module: "code").digests(make_folder(tmp_path / "root"))
    names = [row[0] for row in store._index._db.execute("select name from facts where kind = 'data'")]
    assert names == []
