"""Notes of who uses what: written once a day, never in anybody's way."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from pipeline.store import uses
from pipeline.store.census import noted_days, noted_folders
from pipeline.store.uses import UseNotes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "project" / "store").mkdir(parents=True)
    return tmp_path / "project" / "store"


def note(root: Path, folder: Path, *keys: str) -> None:
    notes = UseNotes(root, folder)
    for key in keys:
        notes.note(key)
    notes.flush()


def notes_of_days(root: Path) -> list[Path]:
    return sorted((root / "uses").glob("*/*-*-*"))


def test_a_key_is_noted_with_the_day_of_its_use(root: Path) -> None:
    """The day's end counts, in UTC."""
    note(root, root.parent / "runs" / "x", "a", "b")
    ((ended_at, keys),) = noted_days(root)
    assert keys == {"a", "b"}
    assert 0 <= ended_at - time.time() < 2 * 86_400


def test_a_run_with_nothing_new_writes_nothing(root: Path) -> None:
    """A cached run that is repeated all day leaves the file alone."""
    note(root, root.parent / "runs" / "x", "a", "b")
    (path,) = notes_of_days(root)
    before = path.stat()
    note(root, root.parent / "runs" / "x", "b", "a")
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_what_is_new_is_added(root: Path) -> None:
    """Two runs of one day into one folder count both."""
    note(root, root.parent / "runs" / "x", "a")
    note(root, root.parent / "runs" / "x", "a", "b")
    (path,) = notes_of_days(root)
    ((_, keys),) = noted_days(root)
    assert path.read_text().split() == ["a", "b"]
    assert keys == {"a", "b"}


def test_each_day_has_its_own_note(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was used yesterday is known tomorrow."""
    note(root, root.parent / "runs" / "x", "a")
    later = time.gmtime(time.time() + 86_400)
    monkeypatch.setattr(uses.time, "gmtime", lambda: later)
    note(root, root.parent / "runs" / "x", "a")
    first, second = sorted(ended_at for ended_at, _ in noted_days(root))
    assert second - first == 86_400


def test_a_project_that_is_moved_keeps_its_notes(root: Path, tmp_path: Path) -> None:
    """A run folder beside the store is noted relative to it, another one by its full path."""
    note(root, root.parent / "runs" / "x", "a")
    note(root, tmp_path / "elsewhere", "a")
    shutil.move(root.parent, tmp_path / "moved")
    found = noted_folders(tmp_path / "moved" / "store")
    assert found == {tmp_path / "moved" / "runs" / "x", tmp_path / "elsewhere"}


def test_a_store_that_is_gone_is_not_made_again_for_a_note(root: Path) -> None:
    """It would be a folder without its marks."""
    notes = UseNotes(root, root.parent / "runs" / "x")
    shutil.rmtree(root)
    notes.note("a")
    notes.flush()
    assert not root.exists()


def test_a_damaged_note_is_no_obstacle(root: Path) -> None:
    """What it says is data: other names and impossible days are passed over."""
    note(root, root.parent / "runs" / "x", "a")
    (path,) = notes_of_days(root)
    path.write_bytes(b"\xff\xfe\n\0 not a key\n")
    (path.parent / "2026-99-99").write_text("a")
    assert len(list(noted_days(root))) == 1
    note(root, root.parent / "runs" / "x", "a")
    ((_, keys),) = noted_days(root)
    assert "a" in keys
