"""Folders of pictures: both layouts, what a picture may be, and what is refused."""

from __future__ import annotations

import builtins
import contextlib
import os
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinytorch.data import image_folder
from tinytorch.errors import DataFileError

PIL = pytest.importorskip("PIL.Image", reason='pictures need pip install "tinytorch-pipeline[images]"')


def paint(
    path: Path, colour: tuple[int, int, int] = (200, 100, 0), size: tuple[int, int] = (4, 4), **options: Any
) -> Path:
    """Write a picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.new("RGB", size, colour).save(path, **options)
    return path


def two_parts(root: Path, per_class: int = 4) -> Path:
    """Write train/ and test/ with the classes cat and dog; dogs are brighter."""
    for part in ("train", "test"):
        for name, brightness in (("cat", 10), ("dog", 200)):
            for number in range(per_class):
                paint(root / part / name / f"{number}.png", (brightness, number, 0))
    return root


def test_train_and_test_folders(tmp_path: Path) -> None:
    """Folder names are the classes, in alphabetical order; validation comes out of train."""
    data = image_folder.load(two_parts(tmp_path), 0, size=4, validation_share=0.25)
    assert data.classes == ("cat", "dog")
    assert [len(split) for split in data.splits().values()] == [6, 2, 8]
    assert data.test.labels.tolist() == [0] * 4 + [1] * 4
    assert data.test.pixels[5, :, 0, 0].tolist() == [200, 1, 0]


def test_one_pool_of_class_folders(tmp_path: Path) -> None:
    """Without train/ and test/, all three splits come from the same folders."""
    root = two_parts(tmp_path, per_class=10) / "train"
    data = image_folder.load(root, 0, size=4)
    assert [len(split) for split in data.splits().values()] == [14, 2, 4]


def test_files_are_listed_in_order_and_litter_is_not(tmp_path: Path) -> None:
    """Hidden files and what file managers leave behind do not count."""
    root = two_parts(tmp_path, per_class=1)
    for name in (".hidden", "Thumbs.db"):
        (root / "train" / "cat" / name).touch()
    names = [path.relative_to(root).as_posix() for path in image_folder.files(root)]
    assert names == ["train/cat/0.png", "train/dog/0.png", "test/cat/0.png", "test/dog/0.png"]


@pytest.mark.parametrize(("channels", "expected"), [(1, [124]), (3, [200, 100, 50])])
def test_channels_are_converted(tmp_path: Path, channels: int, expected: list[int]) -> None:
    """Colour becomes grey by the usual weights (ITU-R 601), and stays colour otherwise."""
    root = two_parts(tmp_path)
    paint(root / "test" / "cat" / "0.png", (200, 100, 50))
    data = image_folder.load(root, 0, size=4, channels=channels)
    assert data.test.pixels[0, :, 0, 0].tolist() == expected


def test_pictures_are_cropped_in_the_middle_and_scaled(tmp_path: Path) -> None:
    """A wide picture loses its sides: of black, white, black only white is left."""
    picture = PIL.new("RGB", (24, 8))
    picture.paste((255, 255, 255), (6, 0, 18, 8))  # scaling looks a little beyond the square in the middle
    root = two_parts(tmp_path)
    picture.save(root / "test" / "cat" / "0.png")
    data = image_folder.load(root, 0, size=4)
    assert (data.test.pixels[0] == 255).all()


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".jpg", ".png", ".ppm", ".webp", ".JPEG"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    """The usual formats are read, whatever the case of their suffix."""
    root = two_parts(tmp_path)
    paint(root / "test" / "cat" / f"9{suffix}", (200, 100, 0))
    pixel = image_folder.load(root, 0, size=4).test.pixels[4, :, 0, 0].astype(int)
    assert np.abs(pixel - [200, 100, 0]).max() < 12  # GIF and JPEG are lossy


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    """The orientation that a camera noted is applied."""
    root = two_parts(tmp_path)
    picture = PIL.new("L", (4, 4))
    picture.paste(255, (0, 0, 4, 2))  # bright above
    exif = PIL.Exif()
    exif[0x0112] = 3  # upside down
    picture.save(root / "test" / "cat" / "0.png", exif=exif)
    pixels = image_folder.load(root, 0, size=4, channels=1).test.pixels[0, 0]
    assert pixels[:, 0].tolist() == [0, 0, 255, 255]


def png_claiming(width: int, height: int) -> bytes:
    """A PNG that claims a size it does not have."""
    chunks = {b"IHDR": struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0), b"IDAT": zlib.compress(bytes(7))}
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "none of the formats"),
        (b"not a picture", "none of the formats"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "none of the formats"),
        (png_claiming(9_000, 9_000), "9000 x 9000 pixels"),
        (png_claiming(40_000, 40_000), "could be decompression bomb"),
        (png_claiming(4, 4), "broken|truncated|unrecognized"),
    ],
    ids=["empty", "text", "postscript", "large", "bomb", "short"],
)
def test_a_broken_picture_is_one_line(tmp_path: Path, content: bytes, found: str) -> None:
    """Other formats, bombs and broken data: path, what was found, what was expected."""
    root = two_parts(tmp_path)
    (root / "train" / "dog" / "2.png").write_bytes(content)
    with pytest.raises(DataFileError, match=rf"train/dog/2\.png: found .*{found}.*, expected a picture") as caught:
        image_folder.load(root, 0, size=4)
    assert "\n" not in str(caught.value)


def test_a_truncated_picture_is_refused(tmp_path: Path) -> None:
    """Half a JPEG is an error, not a half-grey picture."""
    root = two_parts(tmp_path)
    path = root / "train" / "dog" / "9.jpg"
    PIL.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataFileError, match=r"9\.jpg: found image file is truncated"):
        image_folder.load(root, 0, size=4)


def test_sixteen_bit_pictures_are_refused(tmp_path: Path) -> None:
    """They would be clipped to white without a word."""
    root = two_parts(tmp_path)
    PIL.fromarray(np.full((4, 4), 9999, np.uint16)).save(root / "train" / "cat" / "9.png")
    with pytest.raises(DataFileError, match=r"of mode I;16, expected a picture .* of 8 bits"):
        image_folder.load(root, 0, size=4)


def test_a_file_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    """Leaving it out without a word could hide half the data set."""
    root = two_parts(tmp_path)
    (root / "train" / "dog" / "notes.txt").touch()
    with pytest.raises(DataFileError, match=r"notes\.txt: found a file that is no picture, expected files with \.bmp"):
        image_folder.files(root)


def test_layouts_that_make_no_sense(tmp_path: Path) -> None:
    """Train without test, other classes in test, one class, and an empty class each have their line."""
    both = two_parts(tmp_path / "both")
    (both / "test" / "dog").rename(both / "test" / "god")
    alone = two_parts(tmp_path / "alone")
    (alone / "test").rename(tmp_path / "gone")
    single = paint(tmp_path / "single" / "cat" / "0.png").parents[1]
    empty = two_parts(tmp_path / "empty") / "train"
    (empty / "bird").mkdir()
    for root, found in (
        (both, "found dog/ in one part only"),
        (alone, "found train/ alone"),
        (single, "found 1 folders"),
        (empty, "bird: found no picture"),
    ):
        with pytest.raises(DataFileError, match=found):
            image_folder.files(root)


def test_too_few_pictures_to_divide(tmp_path: Path) -> None:
    """A class that cannot be in every split is an error with the number of its pictures."""
    with pytest.raises(DataFileError, match="class 0 has 1 images, too few for 2 parts"):
        image_folder.load(two_parts(tmp_path, per_class=1), 0, size=4)


@pytest.mark.parametrize("link", ["train/cat/link.png", "train/eel"])
def test_a_link_out_of_the_root_is_refused(tmp_path: Path, link: str) -> None:
    """Neither a picture nor a class folder may be somewhere else."""
    outside = paint(tmp_path / "outside" / "secret.png")
    root = two_parts(tmp_path / "root")
    (root / link).symlink_to(outside if link.endswith(".png") else outside.parent)
    with pytest.raises(DataFileError, match="leaves the data set's folder"):
        image_folder.files(root)


@pytest.mark.parametrize("name", ["do\ng", "d\x1b[31mog", "d\udcffog"])
@pytest.mark.parametrize("old", ["train/dog", "test/cat/0.png"])
def test_names_must_be_printable(tmp_path: Path, name: str, old: str) -> None:
    """Names with control characters, or of no valid encoding, would break reports."""
    root = two_parts(tmp_path)
    os.rename(root / old, (root / old).with_name(name))
    with pytest.raises(DataFileError, match=r"found the name 'd.*, expected names of printable characters"):
        image_folder.files(root)


def test_the_decoded_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More pictures than fit are refused before the first is read."""
    monkeypatch.setattr(image_folder, "_MOST_BYTES", 15 * 48)
    with pytest.raises(DataFileError, match="found 16 pictures, expected at most 15 of 4x4 pixels"):
        image_folder.load(two_parts(tmp_path), 0, size=4)


def test_without_pillow_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing extra is one line that names what to install."""
    real = builtins.__import__

    def no_pillow(name: str, *rest: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "PIL":
            raise ImportError(name)
        return real(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", no_pillow)
    with pytest.raises(ImportError, match=r'pip install "tinytorch-pipeline\[images\]"$'):
        image_folder.load(two_parts(tmp_path), 0)


def test_channels_are_one_or_three() -> None:
    """There is no picture of two channels."""
    with pytest.raises(ValueError, match=r"channels must be 1 \(grey\) or 3 \(colour\), not 2"):
        image_folder.shape(channels=2)
    assert image_folder.shape(size=48, channels=1) == (1, 48, 48)


def test_whatever_a_reader_stumbles_over_is_the_files_problem(tmp_path: Path) -> None:
    """Pillow raises ValueError, too: here for a number in a header that has no end."""
    root = two_parts(tmp_path)
    path = root / "train" / "cat" / "0.png"
    path.write_bytes(b"P6 " + b"1" * 99)
    with pytest.raises(DataFileError, match=r"0\.png: found .*Token too long"):
        image_folder.load(root, 0, size=4)


def test_a_pipe_among_pictures_is_named(tmp_path: Path) -> None:
    """It is neither waited for nor called a folder."""
    root = two_parts(tmp_path)
    os.mkfifo(root / "train" / "cat" / "9.png")
    with pytest.raises(DataFileError, match=r"9\.png: found no regular file inside a class folder"):
        image_folder.load(root, 0, size=4)


def test_a_chunk_that_claims_more_than_there_is_costs_nothing(tmp_path: Path) -> None:
    """A PNG of some bytes may not ask for gigabytes."""
    root = two_parts(tmp_path)
    path = root / "train" / "cat" / "0.png"
    data = path.read_bytes()
    start = data.index(b"IDAT")
    path.write_bytes(data[: start - 4] + struct.pack(">I", 0x70000000) + data[start:])
    tracemalloc.start()
    try:
        with contextlib.suppress(DataFileError):  # Pillow may have enough with the pixels it found
            image_folder.load(root, 0, size=4, validation_share=0.25)
        assert tracemalloc.get_traced_memory()[1] < 1 << 26
    finally:
        tracemalloc.stop()
