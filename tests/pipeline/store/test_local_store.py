"""The store: bytes by digest, records by key, and what happens to them when files are lost or damaged."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import Preimage, action_key, digest_bytes
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject, write_atomically
from pipeline.store.record import Artifact, Record


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


PREIMAGE = Preimage("train", 1, {}, "c", {}, {})
KEY = action_key(PREIMAGE)


def commit(store: LocalStore, data: bytes = b"result") -> Record:
    artifact = store.put(data, "text")
    record = Record(KEY, "train", PREIMAGE, {"out": artifact}, 1.5, 0.25)
    store.commit(record)
    return record


def test_bytes_come_back_by_their_digest(store: LocalStore) -> None:
    """An object is named by the SHA-256 of its content."""
    assert store.write(b"abc") == digest_bytes(b"abc")
    assert store.read(digest_bytes(b"abc")) == b"abc"


def test_equal_content_is_stored_once_and_read_only(store: LocalStore) -> None:
    """Writing the same bytes again leaves the file alone."""
    path = store.object_path(store.write(b"abc"))
    before = path.stat()
    store.write(b"abc")
    assert path.stat().st_ino == before.st_ino
    assert path.stat().st_mode & 0o777 == 0o444


def test_a_committed_record_is_found_by_another_process(store: LocalStore) -> None:
    """A second store object on the same folder sees the record."""
    record = commit(store)
    assert LocalStore(store.root).get(KEY) == record


def test_an_unknown_key_is_a_miss(store: LocalStore) -> None:
    """There is no record before there is one."""
    assert store.get("none") is None


@pytest.mark.parametrize("content", [None, b"resul"], ids=["deleted", "cut short"])
def test_a_record_with_a_lost_artifact_is_a_miss(store: LocalStore, content: bytes | None) -> None:
    """A deleted or truncated object makes its node run again."""
    path = store.object_path(commit(store).outputs["out"].digest)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert store.get(KEY) is None


def test_damaged_content_is_noticed_when_read_and_set_aside(store: LocalStore) -> None:
    """Content that does not match its name is never returned, and no longer counts as there."""
    artifact = commit(store).outputs["out"]
    path = store.object_path(artifact.digest)
    path.chmod(0o644)
    path.write_bytes(b"RESULT")
    with pytest.raises(CorruptObject, match="quarantine"):
        store.read(artifact.digest)
    assert store.get(KEY) is None
    assert store.put(b"result", "text") == artifact


@pytest.mark.parametrize("damage", ["delete", "overwrite"])
def test_a_lost_index_is_rebuilt_from_the_records(store: LocalStore, damage: str) -> None:
    """The JSON record beside each result is enough."""
    record = commit(store)
    store.close()
    index = store.root / "index.sqlite3"
    index.unlink() if damage == "delete" else index.write_bytes(b"not a database" * 100)
    assert LocalStore(store.root).get(KEY) == record


def test_an_unreadable_record_is_dropped_on_rebuild(store: LocalStore) -> None:
    """A record that cannot be read is a result that has to be computed again, not an error."""
    commit(store)
    store.close()
    (store.root / "index.sqlite3").unlink()
    (record_file,) = (store.root / "actions").glob("*/*.json")
    record_file.write_bytes(b"{")
    assert LocalStore(store.root).get(KEY) is None


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    """A reader sees the old content or the new, never a part."""
    target = tmp_path / "file"
    write_atomically(target, b"old")
    with pytest.raises(TypeError):
        write_atomically(target, "text is not bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_the_folder_is_marked_as_a_cache_and_ignored_by_git(store: LocalStore) -> None:
    """Backups skip it and git does not see it."""
    assert (store.root / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    assert (store.root / ".gitignore").read_text() == "*\n"


def test_a_store_that_cannot_be_made_is_an_environment_problem(tmp_path: Path) -> None:
    """The message names the folder and the way out."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentProblem, match="file/store cannot be written") as raised:
        LocalStore(tmp_path / "file" / "store")
    assert "--store" in raised.value.hint


def test_facts_are_remembered_by_kind_and_name(store: LocalStore) -> None:
    """Remembered answers survive closing, and kinds do not mix."""
    store.remember("code", {"a": [1, "x"]})
    store.close()
    again = LocalStore(store.root)
    assert again.recall("code", "a") == [1, "x"]
    assert again.recall("data", "a") is None


def test_recent_records_come_newest_first(store: LocalStore) -> None:
    """`why` compares with the latest results of a stage."""
    for number, key in enumerate(("k1", "k2", "k3")):
        preimage = Preimage("train", 1, {"n": number}, "c", {}, {})
        store.commit(Record(key, "", preimage, {"o": Artifact("d" * 64, "text", 1)}, float(number), 0.0))
    assert [record.key for record in store.recent("train", before=2.0)] == ["k2", "k1"]


def test_the_index_can_be_read_by_sqlite_itself(store: LocalStore) -> None:
    """The layout is documented: one row an action."""
    commit(store)
    rows = sqlite3.connect(store.root / "index.sqlite3").execute("select key, topic from actions").fetchall()
    assert rows == [(KEY, "train")]
