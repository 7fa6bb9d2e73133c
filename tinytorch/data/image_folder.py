"""Pictures in one folder per class: root/train/<class>/* with root/test/<class>/*, or only root/<class>/*.

In the first layout `validation_share` of train is carved out; in the second all three splits come from one pool.
Pictures are cropped in the middle to a square and scaled to `size` x `size`. Reading them needs Pillow: ``pip install
"tinytorch-pipeline[images]"``.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinytorch.arguments import Argument, integer, number, with_defaults
from tinytorch.data.partition import Pool, from_one_pool, from_train_and_test
from tinytorch.data.reading import inside, require_folder
from tinytorch.data.split import Dataset
from tinytorch.errors import DataFileError

__all__ = ["ARGS", "classes_count", "files", "load", "shape"]

ARGS: dict[str, Argument] = {"channels": 3, "size": 32, "test_share": 0.2, "validation_share": 0.1}

_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "WEBP")  # Pillow's other readers are never tried
_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".webp")
_MODES = ("1", "CMYK", "L", "LA", "P", "PA", "RGB", "RGBA", "YCbCr")  # 8 bits; Pillow clips the deeper ones
_LITTER = ("Thumbs.db", "desktop.ini")  # what file managers leave behind; hidden files are ignored as well
_MOST_PIXELS = 1 << 26  # of one picture, before it is scaled: 64 megapixels, 192 MB as RGB
_MOST_FILE_BYTES = 1 << 26
_MOST_BYTES = 1 << 32  # of all pictures together, after they are scaled
_HOLDS = "one folder of pictures per class, perhaps within train/ and test/"


@dataclass(frozen=True)
class _Settings:
    """The checked arguments."""

    channels: int
    size: int
    test_share: float
    validation_share: float

    @classmethod
    def of(cls, args: dict[str, Argument]) -> _Settings:
        chosen = with_defaults("image_folder", ARGS, args)
        channels = integer("channels", chosen["channels"], 1, 3)
        if channels == 2:
            raise ValueError("channels must be 1 (grey) or 3 (colour), not 2")
        return cls(
            channels=channels,
            size=integer("size", chosen["size"], 1, 1024),
            test_share=number("test_share", chosen["test_share"], 0.01, 0.49),
            validation_share=number("validation_share", chosen["validation_share"], 0.01, 0.49),
        )


@dataclass(frozen=True)
class _Part:
    """The picture files of one part (train, test, or the only one), with the class number of each."""

    classes: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: tuple[int, ...]


def load(root: Path | None, seed: int, **args: Argument) -> Dataset:
    """Decode all pictures. `seed` changes nothing.

    Raises DataFileError for whatever is not as described, ImportError without Pillow.
    """
    settings = _Settings.of(args)
    folder = require_folder(root, "image_folder", _HOLDS)
    parts = _parts(folder)
    _require_pillow()
    count = sum(len(part.paths) for part in parts)
    most = _MOST_BYTES // (settings.channels * settings.size**2)
    if count > most:
        raise DataFileError(folder, f"{count} pictures", f"at most {most} of {settings.size}x{settings.size} pixels")
    classes = parts[0].classes
    pools = [Pool(_decode_all(part.paths, settings), np.array(part.labels, dtype=np.int64)) for part in parts]
    try:
        if len(pools) == 1:
            shares = (settings.validation_share, settings.test_share)
            return from_one_pool("image_folder", classes, pools[0], 255.0, *shares)
        return from_train_and_test("image_folder", classes, pools[0], pools[1], 255.0, settings.validation_share)
    except ValueError as error:  # a class with too few pictures to divide
        raise DataFileError(folder, str(error), "more pictures in every class") from error


def shape(**args: Argument) -> tuple[int, int, int]:
    """Return the shape (C, H, W) of an image."""
    settings = _Settings.of(args)
    return settings.channels, settings.size, settings.size


def classes_count(**args: Argument) -> int | None:
    """Return None: only the folders tell."""
    _Settings.of(args)
    return None


def files(root: Path | None, **args: Argument) -> list[Path]:
    """Return the files that the content depends on: every picture, part by part, class by class, by name."""
    _Settings.of(args)
    return [path for part in _parts(require_folder(root, "image_folder", _HOLDS)) for path in part.paths]


def _parts(folder: Path) -> list[_Part]:
    present = [name for name in ("train", "test") if (folder / name).is_dir()]
    if not present:
        return [_scan(folder, folder)]
    if len(present) == 1:
        raise DataFileError(folder, f"{present[0]}/ alone", "both train/ and test/, or one folder per class")
    train, test = (_scan(folder, inside(folder, folder / name)) for name in present)
    if train.classes != test.classes:
        odd = sorted(set(train.classes) ^ set(test.classes))
        raise DataFileError(folder, f"{odd[0]}/ in one part only", "the same classes in train/ and test/")
    return [train, test]


def _scan(root: Path, folder: Path) -> _Part:
    names = [entry.name for entry in _entries(root, folder) if entry.is_dir()]
    if len(names) < 2:
        raise DataFileError(folder, f"{len(names)} folders", "at least 2, one for each class")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        pictures = [Path(entry.path) for entry in _entries(root, folder / name) if _is_picture(entry)]
        if not pictures:
            raise DataFileError(folder / name, "no picture", f"files with {', '.join(_SUFFIXES)}")
        paths += pictures
        labels += [label] * len(pictures)
    return _Part(tuple(names), tuple(paths), tuple(labels))


def _entries(root: Path, folder: Path) -> list[os.DirEntry[str]]:
    """List `folder` by name, without hidden files and litter; links must stay within `root`."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not entry.name.startswith(".") and entry.name not in _LITTER]
    except OSError as error:
        raise DataFileError(folder, (error.strerror or type(error).__name__).lower(), "a readable folder") from error
    for entry in entries:
        if not entry.name.isprintable():
            raise DataFileError(folder, f"the name {entry.name!a}", "names of printable characters")
        if entry.is_symlink():
            inside(root, Path(entry.path))
    return sorted(entries, key=lambda entry: entry.name)


def _is_picture(entry: os.DirEntry[str]) -> bool:
    """Tell true; anything in a class folder that is not a picture is an error, because leaving it out would hide it."""
    if not entry.is_file():
        found = "a folder" if entry.is_dir() else "no regular file"
        raise DataFileError(Path(entry.path), f"{found} inside a class folder", "pictures only")
    if not entry.name.lower().endswith(_SUFFIXES):
        raise DataFileError(Path(entry.path), "a file that is no picture", f"files with {', '.join(_SUFFIXES)}")
    return True


def _require_pillow() -> None:
    try:
        import PIL.Image  # noqa: F401  (only to see whether it is there)
    except ImportError as error:
        message = 'image_folder needs Pillow to read pictures: pip install "tinytorch-pipeline[images]"'
        raise ImportError(message, name="PIL") from error


def _decode_all(paths: Sequence[Path], settings: _Settings) -> NDArray[np.uint8]:
    """Return the pictures (N, C, size, size), one after the other: with pictures this small two threads were slower."""
    pixels = np.empty((len(paths), settings.channels, settings.size, settings.size), dtype=np.uint8)
    for position, path in enumerate(paths):
        pixels[position] = _decode(path, settings)
    return pixels


def _decode(path: Path, settings: _Settings) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    expected = f"a picture ({', '.join(_FORMATS)}) of 8 bits per channel and at most {_MOST_PIXELS:,} pixels"
    square = (settings.size, settings.size)
    try:
        if path.stat().st_size > _MOST_FILE_BYTES:
            raise DataFileError(path, f"{path.stat().st_size:,} bytes", f"at most {_MOST_FILE_BYTES:,}")
        # From memory: of a file Pillow asks for as many bytes as it claims to hold, up to 2 GB, and they are allocated.
        with Image.open(io.BytesIO(path.read_bytes()), formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > _MOST_PIXELS or picture.mode not in _MODES:
                raise DataFileError(path, f"{width} x {height} pixels of mode {picture.mode}", expected)
            picture.draft(None, (2 * settings.size, 2 * settings.size))  # lets a large JPEG decode at a fraction
            ImageOps.exif_transpose(picture, in_place=True)  # a copy of a large picture is 256 MB
            upright = picture.convert("L" if settings.channels == 1 else "RGB")
    except UnidentifiedImageError as error:
        raise DataFileError(path, "none of the formats", expected) from error
    except DataFileError:
        raise
    except (EOFError, Image.DecompressionBombError, OSError, SyntaxError, ValueError, struct.error, zlib.error) as bad:
        raise DataFileError(path, " ".join(str(bad).split()) or type(bad).__name__, expected) from bad
    if upright.size != square:
        upright = ImageOps.fit(upright, square, method=Image.Resampling.BILINEAR)
    pixels = np.asarray(upright, dtype=np.uint8).reshape(*square, settings.channels)
    return pixels.transpose(2, 0, 1)
