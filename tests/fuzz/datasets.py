"""Data: IDX files, CIFAR-10 batches, pictures, texts; and what archives may hold besides: links and pipes."""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from functools import cache
from pathlib import Path
from random import Random

import numpy as np

from tests.fuzz.changes import SIZES, change_bytes, times
from tests.fuzz.failure import Failure
from tests.fuzz.files import PIPE, Files, Link
from tinytorch.data import load_dataset_module
from tinytorch.data.tokens import read_split
from tinytorch.errors import TinyTorchError

__all__ = [
    "check_cifar",
    "check_idx",
    "check_images",
    "check_text",
    "make_cifar",
    "make_idx",
    "make_images",
    "make_text",
]

_TARGETS = (".", "..", "/", "/dev/zero", "/proc/self/mem", "/etc/passwd", "nothing", "a/../..", "itself")
_NAMES = (
    "train",
    "test",
    "a",
    "b.png",
    ".hidden",
    "Thumbs.db",
    "x\u202ey",
    "new\nline",
    "\x1b[2J",
    "é",
    "c.PNG",
    "d.gz",
)
_BOMB_BLOCK = 1 << 20
_TEXT = "text.txt"
_ODD_TEXTS = (
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\0",
    b"<UNK>",
    b"\r\n\r",
    b"\xe2\x80\xa8",
    b"e\xcc\x81" * 30,
    b"\xf0\x9f\x91\xa9\xe2\x80\x8d" * 9,
    b" " * 200,
    b"a" * 3000,
)


def make_idx(rng: Random) -> Files:
    """Return changed IDX files."""
    files = dict(_idx())
    for _ in range(times(rng, 3)):
        name = rng.choice(sorted(files))
        content = files[name]
        if isinstance(content, bytes) and not isinstance(content, Link):
            files[name] = rng.choice((change_bytes, _header_changed, _header_changed, _compressed, _bomb))(content, rng)
    return _folder_changed(files, rng)


def make_cifar(rng: Random) -> Files:
    """Return changed CIFAR-10 batches."""
    files = dict(_cifar())
    if rng.random() < 0.3:  # all alike, so that one size is not another than that of the rest
        changed = rng.choice((change_bytes, _compressed))(files["test_batch.bin"], rng)  # type: ignore[arg-type]
        files = dict.fromkeys(files, changed)
    for _ in range(times(rng, 3)):
        name = rng.choice(sorted(files))
        content = files[name]
        if isinstance(content, bytes):
            files[name] = rng.choice((change_bytes, _records_changed, _compressed))(content, rng)
    if rng.random() < 0.2:
        files = {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}
    return _folder_changed(files, rng)


def make_images(rng: Random) -> Files:
    """Return a changed folder of pictures."""
    files = dict(rng.choice(_images()))
    for _ in range(times(rng, 3)):
        name = rng.choice(sorted(files))
        content = files[name]
        if isinstance(content, bytes):
            change = rng.choice((change_bytes, change_bytes, _picture_header, _png_size, _png_chunk))
            files[name] = change(content, rng)
    if rng.random() < 0.02:
        files[rng.choice(sorted(files))] = rng.choice(_large_pictures())
    return _folder_changed(files, rng)


def make_text(rng: Random) -> Files:
    """Return a changed text: other bytes, what is no UTF-8, compressed, or far more than it seems."""
    data = rng.choice(_texts())
    for _ in range(times(rng, 3)):
        data = rng.choice((change_bytes, _text_changed, _text_changed, _compressed))(data, rng)
    if rng.random() < 0.02:
        data = _zeros() * rng.choice((1, 300))
    return _folder_changed({_TEXT: data}, rng)


def check_idx(folder: Path) -> bool:
    """Return whether the folder holds what `mnist` reads."""
    return _loads("mnist", folder)


def check_cifar(folder: Path) -> bool:
    """Return whether the folder holds what `cifar10` reads."""
    return _loads("cifar10", folder)


def check_images(folder: Path) -> bool:
    """Return whether the folder holds pictures."""
    return _loads("image_folder", folder, size=4)


def check_text(folder: Path) -> bool:
    """Return whether the file is a text, by bytes and by characters: what is one for the former is one for both."""
    found = [_reads(folder / _TEXT, tokenizer=kind, vocab_size=300, context=4) for kind in ("bpe", "char")]
    return all(found)


def _reads(path: Path, **args: str | int) -> bool:
    module = load_dataset_module("text")
    try:
        module.files(path, **args)
        data = module.load(path, 0, **args)
    except TinyTorchError as error:
        if not str(error).strip():
            raise Failure("an error says nothing", repr(error)) from error
        return False
    for split in data.splits().values():
        inputs, targets = split.windows()
        assert len(split) == len(inputs) >= 2
        assert inputs.shape[1:] == module.shape(**args)
        assert targets.max() < len(data.classes)
        assert split.window_bytes().min() >= 0
        assert read_split(split.to_arrays()).digest() == split.digest()
    return True


def _loads(name: str, folder: Path, **args: int) -> bool:
    module = load_dataset_module(name)
    try:
        data = module.load(folder, 0, **args)
    except TinyTorchError as error:
        if not str(error).strip():
            raise Failure("an error says nothing", repr(error)) from error
        return False
    shape = module.shape(**args)
    for split in data.splits().values():
        assert len(split) > 0
        assert split.pixels.shape[1:] == shape
        assert split.labels.max() < len(data.classes)
    return True


def _folder_changed(files: Files, rng: Random) -> Files:
    """Return the files, now and then with some gone, moved, doubled, or replaced by a link, a pipe or a folder."""
    if rng.random() < 0.75:
        return files
    files = dict(files)
    name = rng.choice(sorted(files))
    place, _, _ = name.rpartition("/")
    other = f"{place}/{rng.choice(_NAMES)}" if place else rng.choice(_NAMES)
    choice = rng.randrange(7)
    if choice == 0:
        del files[name]
    elif choice == 1:
        files[name] = Link(rng.choice(_TARGETS))
    elif choice == 2:
        files[name] = PIPE
    elif choice == 3:
        files[f"{name}/{rng.choice(_NAMES)}"] = files.pop(name)
    elif choice == 4:
        files[other] = files.pop(name)
    elif choice == 5:
        files[other] = rng.choice((PIPE, Link(rng.choice(_TARGETS)), b"", files[name]))
    elif place:
        files = {key: content for key, content in files.items() if not key.startswith(f"{place}/")}
        files[place] = rng.choice((PIPE, Link(rng.choice(_TARGETS)), b""))
    return _without_clashes(files)


def _without_clashes(files: Files) -> Files:
    """Return the files without those that lie in what is no folder."""
    folders = lambda name: {name[:at] for at, char in enumerate(name) if char == "/"}  # noqa: E731
    return {name: content for name, content in files.items() if not folders(name) & files.keys()}


def _header_changed(data: bytes, rng: Random) -> bytes:
    """Return an IDX file with another magic number, count or size; bytes are added where it now claims more."""
    if len(data) < 8:  # cut by a change before
        return change_bytes(data, rng)
    fields = list(struct.unpack(">2I", data[:8]))
    fields[rng.randrange(2)] = rng.choice((fields[1] + rng.choice((-1, 1)), rng.choice(SIZES), 0x0801, 0x0803)) % 2**32
    body = data[8:]
    if rng.random() < 0.3:
        body = (body * 3)[: len(body) + rng.choice((-784, -1, 1, 784))]
    return struct.pack(">2I", *fields) + body


def _records_changed(data: bytes, rng: Random) -> bytes:
    """Return records with other classes, or one of them cut or added."""
    at = rng.randrange(max(1, len(data) // 3073)) * 3073
    other = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
    return rng.choice((other, data[:at], data + data[:3073], data[:-1]))


def _text_changed(data: bytes, rng: Random) -> bytes:
    """Return a text with what is odd, or no text at all, somewhere in it; or so little of it that nothing is left."""
    at = rng.randrange(len(data) + 1)
    odd = rng.choice(_ODD_TEXTS)
    return rng.choice((data[:at] + odd + data[at:], data[:at] + odd, data[: rng.randrange(80)], odd * 20))


def _compressed(data: bytes, rng: Random) -> bytes:
    return gzip.compress(data, 1, mtime=0)


def _bomb(data: bytes, rng: Random) -> bytes:
    """Return a small file that claims, and unpacks to, very much."""
    count = rng.choice((60_000, 1_000_000, 2**32 - 1))
    head = struct.pack(">4I", 0x0803, count, 28, 28)
    return gzip.compress(head, 1, mtime=0) + _zeros() * (min(count, 1_000_000) * 784 // _BOMB_BLOCK + 1)


@cache
def _zeros() -> bytes:
    return gzip.compress(bytes(_BOMB_BLOCK), 9, mtime=0)


def _picture_header(data: bytes, rng: Random) -> bytes:
    """Return the picture with its first bytes changed, where sizes and formats are."""
    return change_bytes(data[:64], rng) + data[64:]


def _png_size(data: bytes, rng: Random) -> bytes:
    """Return a PNG with another size or kind of pixel, its checksum right."""
    if not data.startswith(b"\x89PNG") or len(data) < 33:
        return change_bytes(data, rng)
    fields = list(struct.unpack(">2I5B", data[16:29]))
    at = rng.randrange(len(fields))
    fields[at] = rng.choice((*SIZES, 4000, 8191, 8192, 8193, 10**5)) % (2**32 if at < 2 else 256)
    chunk = b"IHDR" + struct.pack(">2I5B", *fields)
    return data[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + data[33:]


def _png_chunk(data: bytes, rng: Random) -> bytes:
    """Return a PNG with one more chunk: text that unpacks to much, profiles, animation, Exif."""
    if not data.startswith(b"\x89PNG") or len(data) < 33:
        return change_bytes(data, rng)
    kind = rng.choice((b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"tRNS", b"PLTE", b"IDAT"))
    packed = zlib.compress(bytes(1 << 22), 9)
    noise = rng.randbytes(rng.randrange(40))
    body = rng.choice((b"x\0\0" + packed, b"x\0\1\0\0\0" + packed, noise, b"II*\0\x08\0\0\0" + noise))
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return data[:33] + chunk + data[33:]


@cache
def _texts() -> tuple[bytes, ...]:
    """Return texts: of words, of one line, of another script."""
    words = "".join(f"line {i % 37} says that {i % 11} is a number\n" for i in range(60))
    return words.encode(), words.replace("\n", "").encode(), ("これは文です。" * 60).encode()


@cache
def _idx() -> Files:
    rng = np.random.default_rng(0)
    files: Files = {}
    for part, count in (("train", 40), ("t10k", 20)):
        pixels = rng.integers(0, 256, (count, 784), np.uint8).tobytes()
        labels = (np.arange(count) % 10).astype(np.uint8).tobytes()
        files[f"{part}-images-idx3-ubyte"] = struct.pack(">4I", 0x0803, count, 28, 28) + pixels
        files[f"{part}-labels-idx1-ubyte"] = struct.pack(">2I", 0x0801, count) + labels
    return files


@cache
def _cifar() -> Files:
    names = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
    pixels = np.random.default_rng(0).integers(0, 256, (10, 3072), np.uint8)
    return dict.fromkeys(names, np.column_stack([np.arange(10, dtype=np.uint8), pixels]).tobytes())


@cache
def _images() -> tuple[Files, ...]:
    """Return folders of small pictures in both layouts and all formats."""
    formats = (("png", "RGB"), ("jpg", "RGB"), ("gif", "P"), ("bmp", "RGB"), ("ppm", "RGB"), ("png", "LA"))
    pool = [(suffix, _picture(suffix, mode, number)) for number, (suffix, mode) in enumerate(formats)]
    parts = ("", "train/", "test/")
    folders = {
        part: {f"{part}{name}/{i}.{suffix}": data for name in "ab" for i, (suffix, data) in enumerate(pool)}
        for part in parts
    }
    ten = {f"{name}/x{i}.png": pool[0][1] for name in "ab" for i in range(5)}
    return {**folders[""], **ten}, {**folders["train/"], **folders["test/"]}


def _picture(suffix: str, mode: str, seed: int, size: int = 6) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(out, {"jpg": "JPEG", "ppm": "PPM"}.get(suffix, suffix.upper()))
    return out.getvalue()


@cache
def _large_pictures() -> tuple[bytes, ...]:
    """Return pictures of few bytes and the most pixels that are read, or a few more."""
    from PIL import Image

    made = []
    for mode, side in (("1", 8192), ("RGBA", 8192), ("P", 8192), ("L", 8200)):
        out = io.BytesIO()
        Image.new(mode, (side, side)).save(out, "PNG", compress_level=1)
        made.append(out.getvalue())
    return tuple(made)
