"""Reading files that are missing, broken, too short, too long, or somewhere else."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from tinytorch.data.reading import find, inside, open_data, read_end, read_exactly, require_folder
from tinytorch.errors import DataFileError


def read(path: Path, size: int) -> bytes:
    """Read a file that must have `size` bytes."""
    with open_data(path, "data") as stream:
        data = read_exactly(stream, size, path, "data")
        read_end(stream, path, "data")
    return data


@pytest.mark.parametrize("content", [b"abc", gzip.compress(b"abc", mtime=0)], ids=["plain", "gzip"])
def test_plain_and_gzip_files_read_alike(tmp_path: Path, content: bytes) -> None:
    """The first bytes decide, not the name."""
    (tmp_path / "file").write_bytes(content)
    assert read(tmp_path / "file", 3) == b"abc"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"ab", "2 bytes where 3 should be"),
        (b"abcd", "more bytes"),
        (gzip.compress(b"ab", mtime=0), "2 bytes where 3 should be"),
        (gzip.compress(b"abcd", mtime=0), "more bytes"),
        (gzip.compress(b"abc", mtime=0)[:-6], "broken gzip data"),
        (gzip.compress(b"abc", mtime=0)[:5], "broken gzip data"),
        (gzip.compress(b"abc", mtime=0)[:10] + b"\xff" * 20, "broken gzip data"),
    ],
)
def test_a_wrong_size_is_one_line(tmp_path: Path, content: bytes, found: str) -> None:
    """Short, long and broken files say what was found, in one line with the path."""
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(DataFileError, match=f"found .*{found}.*, expected data") as caught:
        read(path, 3)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """Of 64 MB hidden in 64 kB, not more is read than expected."""
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(bytes(1 << 26)))
    with pytest.raises(DataFileError, match="more bytes"):
        read(path, 100)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """What the operating system says becomes the reason."""
    with pytest.raises(DataFileError, match="found is a directory, expected data"):
        read(tmp_path, 3)


def test_find_takes_the_first_name_that_exists(tmp_path: Path) -> None:
    """The order of the names decides; without any, the error lists them."""
    (tmp_path / "b").touch()
    (tmp_path / "c").touch()
    assert find(tmp_path.resolve(), ["a", "b", "c"]).name == "b"
    with pytest.raises(DataFileError, match="found no x, expected one of x, y"):
        find(tmp_path.resolve(), ["x", "y"])


def test_a_link_may_not_leave_the_folder(tmp_path: Path) -> None:
    """A link to a file outside is refused, also when the way leads through '..'; one inside is fine."""
    root = tmp_path.resolve() / "root"
    root.mkdir()
    (tmp_path / "secret").touch()
    (root / "file").touch()
    (root / "good").symlink_to(root / "file")
    (root / "bad").symlink_to("../secret")
    assert inside(root, root / "good") == root / "good"
    for name in ("bad", "../secret"):
        with pytest.raises(DataFileError, match="leaves the data set's folder"):
            inside(root, root / name)


@pytest.mark.parametrize("target", ["nowhere", "link"])
def test_a_link_to_nothing_is_an_error(tmp_path: Path, target: str) -> None:
    """A dangling link and one to itself are errors and not a missing file."""
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(DataFileError, match="expected a readable file"):
        find(tmp_path.resolve(), ["link"])


def test_the_root_must_be_a_folder(tmp_path: Path) -> None:
    """No root, a root that is not there, and a file as root are three different lines."""
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="mnist needs a root: the folder with files"):
        require_folder(None, "mnist", "files")
    with pytest.raises(DataFileError, match="found nothing there, expected a folder with files"):
        require_folder(tmp_path / "none", "mnist", "files")
    with pytest.raises(DataFileError, match="found a file, expected a folder"):
        require_folder(tmp_path / "file", "mnist", "files")


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """Only regular files are opened; anything else might never end."""
    os.mkfifo(tmp_path / "a")
    (tmp_path / "b").mkdir()
    with pytest.raises(DataFileError, match="a: found no regular file, expected a file"):
        find(tmp_path, ["a"])
    with pytest.raises(DataFileError, match="b: found a folder, expected a file"):
        find(tmp_path, ["b"])
