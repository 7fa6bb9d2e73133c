"""Verifying a store: every damage is found, set aside and named; what is sound stays."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipeline.store.local import LocalStore
from pipeline.store.verify import verify_store
from tests.pipeline.store.stored import digest_of, make, names


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def object_path(root: Path, digest: str) -> Path:
    path = root / "objects" / digest[:2] / digest[2:]
    path.chmod(0o644)
    return path


def test_a_sound_store_has_nothing_to_find(root: Path) -> None:
    """Everything is counted."""
    make(root, "a", {"out": b"one"})
    make(root, "b", {"out": b"two", "more": b""})
    found = verify_store(root)
    assert (len(found.objects), sum(found.objects.values()), found.records) == (3, 6, 2)
    assert found.damaged == found.stuck == found.incomplete == found.foreign == []


@pytest.mark.parametrize("content", [b"thrEe", b"thre", b"", b"three "], ids=["changed", "cut", "empty", "longer"])
def test_a_damaged_object_is_set_aside_and_its_result_incomplete(root: Path, content: bytes) -> None:
    """The next run computes it again; a second look finds no damage."""
    record = make(root, "a", {"out": b"three"})
    object_path(root, digest_of(record)).write_bytes(content)
    found = verify_store(root)
    assert (found.damaged, found.incomplete) == ([digest_of(record)], [record.key])
    assert (root / "quarantine" / digest_of(record)).read_bytes() == content
    assert verify_store(root).damaged == []
    assert names(root) == set()


def test_a_deleted_object_is_no_damage(root: Path) -> None:
    """Whoever deletes it wants it computed again."""
    record = make(root, "a", {"out": b"three"})
    object_path(root, digest_of(record)).unlink()
    found = verify_store(root)
    assert (found.damaged, found.incomplete) == ([], [record.key])


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "no text", "deep"])
def test_a_damaged_record_is_set_aside_and_forgotten(root: Path, content: bytes) -> None:
    """The index answers for it no longer."""
    record = make(root, "a", {"out": b"three"})
    (path,) = (root / "actions").glob("*/*.json")
    path.write_bytes(content)
    assert verify_store(root).damaged == [record.key]
    assert (root / "quarantine" / f"{record.key}.json").exists()
    store = LocalStore(root)
    assert store.get(record.key) is None


def test_a_record_of_another_version_is_named_and_left_alone(root: Path) -> None:
    """It is not damaged, and not ours to judge."""
    record = make(root, "a", {"out": b"three"})
    (path,) = (root / "actions").glob("*/*.json")
    path.write_text('{"format": 9}')
    assert verify_store(root).foreign == [record.key]
    assert path.exists()


def test_a_swapped_record_is_no_result(root: Path) -> None:
    """Its content does not belong to its name."""
    make(root, "a", {"out": b"1"})
    make(root, "b", {"out": b"2"})
    first, second = (root / "actions").glob("*/*.json")
    first.write_bytes(second.read_bytes())
    assert verify_store(root).foreign == [first.parent.name + first.stem]


def test_files_that_are_not_the_stores_are_left_alone(root: Path) -> None:
    """Whatever somebody put there."""
    make(root, "a", {"out": b"1"})
    (root / "objects" / "README").write_text("mine")
    (root / "objects" / "ab").mkdir(exist_ok=True)
    (root / "objects" / "ab" / "notes.txt").write_text("mine")
    assert verify_store(root).damaged == []
    assert (root / "objects" / "ab" / "notes.txt").exists()


@pytest.mark.parametrize("seed", range(5))
def test_any_flipped_bit_is_found(root: Path, seed: int) -> None:
    """In an object, wherever it is."""
    rng = random.Random(seed)
    record = make(root, "a", {"out": rng.randbytes(5_000)})
    path = object_path(root, digest_of(record))
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    assert verify_store(root).damaged == [digest_of(record)]
