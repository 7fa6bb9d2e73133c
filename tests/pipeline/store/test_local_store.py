"""The store: bytes by digest, records by key, and what happens to them when files are lost or damaged."""

from __future__ import annotations

import errno
import os
import pickle
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import Preimage, action_key, digest_bytes, family_key
from pipeline.store import index
from pipeline.store.in_use import alone
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject, make_folder, write_atomically
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
    path = store.root / "index.sqlite3"
    path.unlink() if damage == "delete" else path.write_bytes(b"not a database" * 100)
    assert LocalStore(store.root).get(KEY) == record


@pytest.mark.parametrize("text", [b"{", b"[]", b"", b'{"format": 9, "something": "newer"}', b"[" * 100_000])
def test_an_unreadable_record_is_a_miss_and_is_left_alone(store: LocalStore, text: bytes) -> None:
    """Damaged, or written by a newer version of this program: not ours to delete."""
    commit(store)
    store.close()
    (store.root / "index.sqlite3").unlink()
    (record_file,) = (store.root / "actions").glob("*/*.json")
    record_file.write_bytes(text)
    assert LocalStore(store.root).get(KEY) is None
    assert record_file.read_bytes() == text


def test_a_record_under_a_name_that_is_not_its_key_is_a_miss(store: LocalStore) -> None:
    """A record carries what its key is made of, so a swapped or edited file is found out."""
    record = commit(store)
    store.close()
    (store.root / "index.sqlite3").unlink()
    (record_file,) = (store.root / "actions").glob("*/*.json")
    record_file.write_text(record_file.read_text().replace('"version": 1', '"version": 2'))
    assert LocalStore(store.root).get(record.key) is None


def test_a_record_cannot_point_outside_of_the_store(store: LocalStore) -> None:
    """A digest becomes a path, so it has to be one."""
    commit(store)
    store.close()
    (store.root / "index.sqlite3").unlink()
    (record_file,) = (store.root / "actions").glob("*/*.json")
    record_file.write_text(record_file.read_text().replace(digest_bytes(b"result"), "../../../../etc/passwd"))
    assert LocalStore(store.root).peek(KEY) is None


def test_a_record_that_was_not_indexed_is_found_by_its_file(store: LocalStore) -> None:
    """A process killed between the two, or an index rebuilt by another one meanwhile, costs nothing."""
    record = commit(store)
    with sqlite3.connect(store.root / "index.sqlite3") as index:
        index.execute("delete from actions")
    assert LocalStore(store.root).get(KEY) == record


def test_an_interrupted_rebuild_is_taken_up_again(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """What explains reruns is all there afterwards, too."""
    commit(store)
    store.close()
    (store.root / "index.sqlite3").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(index, "_insert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            LocalStore(store.root)
    assert [record.key for record in LocalStore(store.root).recent("train", before=2.0)] == [KEY]


def interrupt(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_an_index_that_another_process_holds_is_left_alone(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Busy is not broken: the records answer, and the index of the others stays."""
    record = commit(store)
    store.close()
    monkeypatch.setattr(index, "_PATIENCE_S", 0.01)
    path = store.root / "index.sqlite3"
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("pragma locking_mode=exclusive")
    holder.execute("begin exclusive")
    before = path.stat().st_ino
    assert LocalStore(store.root).get(KEY) == record
    assert path.stat().st_ino == before


def test_an_index_of_a_newer_version_is_refused(store: LocalStore) -> None:
    """Neither version should rebuild it for the other again and again."""
    store.close()
    with sqlite3.connect(store.root / "index.sqlite3") as newer:
        newer.execute("pragma user_version=99")
    with pytest.raises(EnvironmentProblem, match="newer version"):
        LocalStore(store.root)


def test_an_index_of_an_older_version_is_built_again(store: LocalStore) -> None:
    """It is only a copy of the records."""
    record = commit(store)
    store.close()
    with sqlite3.connect(store.root / "index.sqlite3") as older:
        older.executescript("drop table actions; create table actions (key text); pragma user_version=1")
    assert list(LocalStore(store.root).recent("train", before=2.0)) == [record]


@pytest.mark.parametrize("table", ["facts", "actions"])
def test_a_table_that_is_gone_is_built_again(store: LocalStore, table: str) -> None:
    """Whatever happened to the file, the records are enough."""
    record = commit(store)
    with sqlite3.connect(store.root / "index.sqlite3") as other:
        other.execute(f"drop table {table}")
    assert (store.get(KEY), store.recall("code", "a")) == (record, None)
    store.remember("code", {"a": 1})
    assert store.recall("code", "a") == 1


def test_damaged_rows_are_no_answer(store: LocalStore) -> None:
    """SQLite checks its structure, not its content; a wrong fact could hide an edit for ever."""
    record = commit(store)
    store.remember("code", {"a": ["digest", ["tinytorch"]]})
    with sqlite3.connect(store.root / "index.sqlite3") as other:
        other.execute("update facts set value = replace(value, 'tinytorch', 'tinytorct')")
        other.execute("update actions set result = replace(result, 'train', 'trail')")
    assert store.recall("code", "a") is None
    assert store.get(KEY) == record


@pytest.mark.parametrize("seed", range(8))
def test_an_index_with_random_damage_never_gives_a_wrong_answer(store: LocalStore, seed: int) -> None:
    """Overwritten anywhere, it says what the records say, or nothing."""
    record = commit(store)
    facts = {f"module {number}": ["x" * 300, number] for number in range(100)}
    store.remember("code", facts)
    store.close()
    path = store.root / "index.sqlite3"
    data, rng = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(rng.choice([1, 30, 1000])):
        data[rng.randrange(100 * (seed % 2), len(data))] = rng.randrange(256)
    path.write_bytes(data[: rng.choice([len(data), len(data) // 2])])
    again = LocalStore(store.root)
    assert again.get(KEY) == record
    assert all(again.recall("code", name) in (value, None) for name, value in facts.items())


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.pipeline.store import test_local_store as test
steps = iter(range(100))
def counted(call):
    def step(*arguments, **named):
        if next(steps) == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)
    return step
store = test.LocalStore(Path({store!r}))
for name in ("fsync", "replace", "fchmod", "urandom"):
    setattr(os, name, counted(getattr(os, name)))
test.index._insert = counted(test.index._insert)
test.commit(store)
"""


def test_a_commit_that_is_killed_at_any_step_is_there_or_not(tmp_path: Path) -> None:
    """Never a part: the record is found with its artifact, or the next commit makes it; nothing is quarantined."""
    outcomes = []
    for at in range(10):
        root = tmp_path / str(at)
        code = KILLED.format(root=str(Path(__file__).parents[3]), store=str(root), at=at)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        store = LocalStore(root)
        outcomes.append(store.get(KEY) is not None)
        commit(store)
        assert store.read(digest_bytes(b"result")) == b"result"
        assert not (root / "quarantine").exists()
    assert outcomes == [False] * 8 + [True] * 2  # the rename of the record's file is what counts


def test_a_failed_write_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    """A reader sees the old content or the new, never a part."""
    target = tmp_path / "file"
    write_atomically(target, b"old")
    with pytest.raises(TypeError):
        write_atomically(target, "text is not bytes")  # type: ignore[arg-type]
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_file_in_the_working_directory_is_written_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without a folder is one."""
    monkeypatch.chdir(tmp_path)
    write_atomically("file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"


def test_what_a_killed_process_left_behind_is_in_nobodys_way(tmp_path: Path) -> None:
    """Process ids come again, in containers every time; the name of a temporary file does not."""
    for number in range(100):
        (tmp_path / f".writing-{os.getpid()}-{number}").touch()
    write_atomically(tmp_path / "file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"


def test_an_error_before_the_file_is_there_is_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk without a free inode the message is about that."""
    monkeypatch.setattr("builtins.open", lambda *_: raise_full())
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "file", b"data")


def raise_full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_damage_is_noticed_when_the_same_bytes_are_stored_again(store: LocalStore) -> None:
    """A node that runs again repairs what it gave before."""
    path = store.object_path(store.write(b"abc"))
    path.chmod(0o644)
    path.write_bytes(b"xyz")
    store.write(b"abc")
    assert path.read_bytes() == b"abc"


def test_two_readers_of_one_damaged_object_both_say_so(store: LocalStore) -> None:
    """The second one finds it gone."""
    digest = store.write(b"abc")
    path = store.object_path(digest)
    path.chmod(0o644)
    path.write_bytes(b"xyz")
    for _ in range(2):
        with pytest.raises(CorruptObject):
            store.read(digest)
    assert store.quarantined() == {digest}


def test_what_is_damaged_twice_is_set_aside_twice(store: LocalStore) -> None:
    """Neither finding hides the other: who looks for new ones sees both."""
    digest = store.write(b"abc")
    for damaged in (b"xyz", b"uvw"):
        store.object_path(digest).chmod(0o644)
        store.object_path(digest).write_bytes(damaged)
        store.write(b"abc")
    assert sorted(name[:64] for name in store.quarantined()) == [digest, digest]


def test_a_damaged_object_can_be_reported_from_another_process() -> None:
    """The error keeps its digest when it is pickled."""
    error = pickle.loads(pickle.dumps(CorruptObject("d" * 64, "it is missing")))
    assert (error.digest, str(error)) == ("d" * 64, "object dddddddddddd: it is missing")


@pytest.mark.parametrize("name", ["a b", "ünï cödé", "s#?%&=x", "q'uo\"te", ":memory:"])
def test_a_store_may_have_any_name(tmp_path: Path, name: str) -> None:
    """Spaces, accents and what URLs and SQL treat specially."""
    commit(LocalStore(tmp_path / name))
    assert LocalStore(tmp_path / name).get(KEY)
    assert (tmp_path / name / "index.sqlite3").exists()


def test_a_store_that_is_deleted_while_it_is_open_is_made_again(store: LocalStore) -> None:
    """The next commit stands, for this process and for others."""
    commit(store)
    shutil.rmtree(store.root)
    assert store.get(KEY) is None
    record = commit(store)
    assert LocalStore(store.root).get(KEY) == record


def test_a_store_that_is_made_again_is_a_whole_one(store: LocalStore) -> None:
    """It is marked as a cache, and its index is one that other processes see."""
    shutil.rmtree(store.root)
    record = commit(store)
    assert (store.root / ".gitignore").read_text() == "*\n"
    assert (store.root / "CACHEDIR.TAG").exists()
    (record_file,) = (store.root / "actions").glob("*/*.json")
    record_file.unlink()
    assert LocalStore(store.root).peek(KEY, PREIMAGE) == record


def test_two_processes_with_a_deleted_store_meet_in_the_new_one(store: LocalStore) -> None:
    """Whichever makes it again, what the other commits is found by its index, too, and both hold it."""
    other = LocalStore(store.root)
    commit(store)
    shutil.rmtree(store.root)
    commit(store)
    preimage = Preimage("train", 1, {"n": 2}, "c", {}, {})
    other.commit(Record(action_key(preimage), "train", preimage, {"out": other.put(b"2", "text")}, 2.5, 0.25))
    other.close()
    records = LocalStore(store.root).recent("train", before=9.0)
    assert {record.finished_at for record in records} == {1.5, 2.5}
    with alone(store.root) as is_alone:
        assert not is_alone


def test_a_store_that_is_deleted_while_it_is_made_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of its steps."""
    mkdir = os.mkdir
    for at in range(7):
        steps = iter(range(100))

        def delete_once(path: str, *arguments: int, at: int = at, steps: Iterator[int] = steps) -> None:
            if next(steps) == at:
                shutil.rmtree(tmp_path / str(at), ignore_errors=True)
            mkdir(path, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, "mkdir", delete_once)
            commit(LocalStore(tmp_path / str(at)))
        assert next(steps) > at
        assert LocalStore(tmp_path / str(at)).get(KEY)


def test_a_folder_below_one_that_is_gone_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory itself is not made again."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "here").rmdir()
    with pytest.raises(FileNotFoundError):
        make_folder(".pipeline/objects")


def test_a_copy_of_a_store_without_its_marks_can_be_read(store: LocalStore) -> None:
    """Some tools leave out what begins with a dot; where nobody can write, that cannot be repaired."""
    record = commit(store)
    (store.root / ".gitignore").unlink()
    assert LocalStore(store.root).get(KEY) == record
    assert not (store.root / ".gitignore").exists()
    commit(store)
    assert (store.root / ".gitignore").exists()


def test_a_folder_that_is_deleted_at_any_step_of_a_write_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between making it and using it, or before the rename."""
    for name in ("urandom", "fchmod", "fsync"):
        folder = tmp_path / name
        steps = [getattr(os, name)]

        def delete_once(*arguments: int, folder: Path = folder, steps: list[Callable[..., object]] = steps) -> object:
            if len(steps) == 1:
                steps.append(steps[0])
                shutil.rmtree(folder)
            return steps[0](*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, delete_once)
            write_atomically(folder / "a" / "file", b"data", tmp=folder / "tmp")
        assert (folder / "a" / "file").read_bytes() == b"data"
        assert len(steps) == 2


def test_a_full_disk_stops_no_reading(small_disk: Callable[[str], Path]) -> None:
    """What is stored is found, and what is to be stored says why it cannot be."""
    disk = small_disk("256k")
    record = commit(LocalStore(disk / "store"))
    (disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize))
    store = LocalStore(disk / "store")
    assert store.get(KEY) == record
    store.remember("code", {"a": "x" * 100_000})
    with pytest.raises(EnvironmentProblem, match="No space left on device"):
        store.write(b"x" * 100_000)


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


def made_of(number: int, code: str = "c") -> Preimage:
    return Preimage("train", 1, {"n": number}, code, {"x": f"{number}"}, {"python": "3"})


def commit_all(store: LocalStore, preimages: Iterable[Preimage]) -> None:
    for preimage in preimages:
        key, output = action_key(preimage), {"o": Artifact("d" * 64, "text", 1)}
        store.commit(Record(key, "", preimage, output, 1.0, 0.0))


def test_rows_that_wait_to_be_written_answer_already(store: LocalStore) -> None:
    """Quick nodes share a transaction, and who asks does not notice."""
    commit_all(store, map(made_of, range(5)))
    record = store.peek(action_key(made_of(4)), made_of(4))
    assert record is not None
    assert record.preimage == made_of(4)
    assert store.has_family(family_key(made_of(4)))


@pytest.mark.parametrize("end", ["store.close()", "pass"])
def test_rows_that_wait_are_written_when_a_process_ends(tmp_path: Path, end: str) -> None:
    """Closed or not; `recent` finds them then, which looks at no folder."""
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from pathlib import Path
from tests.pipeline.store import test_local_store as test
store = test.LocalStore(Path({str(tmp_path / "store")!r}))
test.commit_all(store, map(test.made_of, range(5)))
{end}
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert len(list(LocalStore(tmp_path / "store").recent("train", before=2.0))) == 5


def test_a_row_that_never_was_written_costs_nothing(store: LocalStore) -> None:
    """A process was killed before it wrote it: the record is found by its file, and the row is made up for."""
    commit_all(store, map(made_of, range(3)))
    other = LocalStore(store.root)
    assert other.peek(action_key(made_of(2)), made_of(2))
    assert len(list(other.recent("train", before=2.0))) >= 2


def test_records_with_the_same_parameters_are_found_among_many(store: LocalStore) -> None:
    """However many are newer: they explain best what has changed."""
    commit_all(store, map(made_of, range(100)))
    (record,) = store.alike(made_of(3, code="edited"), before=2.0)
    assert record.preimage == made_of(3)


def test_the_index_can_be_read_by_sqlite_itself(store: LocalStore) -> None:
    """The layout is documented: one row an action."""
    commit(store)
    rows = sqlite3.connect(store.root / "index.sqlite3").execute("select key, topic from actions").fetchall()
    assert rows == [(KEY, "train")]
