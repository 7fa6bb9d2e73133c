"""The store behind a URL: what one machine computed another one finds, and what happens when the other side fails."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import Preimage, action_key, digest_bytes
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject
from pipeline.store.record import Record
from pipeline.store.remote import Remote
from pipeline.store.shared import SharedStore, cache_folder

pytest.importorskip("fsspec")

PREIMAGE = Preimage("train", 1, {}, "c", {}, {})
KEY = action_key(PREIMAGE)
NOWHERE = "ftp://user:secret@127.0.0.1:1/store"  # nothing listens on port 1

Machine = Callable[[str], SharedStore]


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"file://{tmp_path}/far" if request.param == "file" else f"memory://{tmp_path.name}/far"


@pytest.fixture
def machine(url: str, tmp_path: Path) -> Machine:
    return lambda name: SharedStore(tmp_path / name, Remote(url))


def commit(store: LocalStore, data: bytes = b"result", **changes: object) -> Record:
    record = Record(KEY, "train", PREIMAGE, {"out": store.put(data, "text")}, 1.5, 0.25)._replace(**changes)
    store.commit(record)
    return record


def delete(store: SharedStore, data: bytes = b"result") -> None:
    store.object_path(digest_bytes(data)).unlink()


def far(store: SharedStore, data: bytes = b"result") -> tuple[object, str]:
    """Return the file system behind the URL and the object's path in it."""
    return store.remote._fs, store.remote._object_path(digest_bytes(data))


def test_what_one_machine_computed_another_finds(machine: Machine) -> None:
    """The record comes with the look-up, the bytes when they are read."""
    record = commit(machine("one"))
    two = machine("two")
    assert two.get(KEY) == record
    assert not two.object_path(digest_bytes(b"result")).exists()
    assert two.read(digest_bytes(b"result")) == b"result"
    assert two.object_path(digest_bytes(b"result")).exists()


def test_what_is_here_needs_no_other_side(url: str, tmp_path: Path) -> None:
    """A run with everything in the cache works without a network."""
    one = SharedStore(tmp_path / "one", Remote(url))
    record = commit(one)
    offline = SharedStore(tmp_path / "one", Remote(NOWHERE))
    assert offline.get(KEY) == record
    assert offline.read(digest_bytes(b"result")) == b"result"


def test_what_was_read_once_stays_here(machine: Machine, tmp_path: Path) -> None:
    """It is not asked for again."""
    commit(machine("one"))
    two = machine("two")
    two.get(KEY)
    two.read(digest_bytes(b"result"))
    offline = SharedStore(tmp_path / "two", Remote(NOWHERE))
    assert offline.get(KEY) is not None
    assert offline.read(digest_bytes(b"result")) == b"result"


def test_a_key_that_nobody_has_is_a_miss(machine: Machine) -> None:
    """Here, there, and in the explanation of what will run."""
    assert machine("one").get(KEY) is None


def test_a_lost_or_damaged_artifact_here_is_brought_again(machine: Machine) -> None:
    """What the other side has need not be computed."""
    one = machine("one")
    record = commit(one)
    delete(one)
    assert one.get(KEY) == record
    path = one.object_path(digest_bytes(b"result"))
    path.write_bytes(b"RESULT")
    assert one.read(digest_bytes(b"result")) == b"result"
    assert path.read_bytes() == b"result"


def test_an_artifact_lost_on_both_sides_is_a_miss(machine: Machine) -> None:
    """Also where it is remembered to have been there: reading finds out, and from then on it counts as missing."""
    one = machine("one")
    commit(one)
    delete(one)
    fs, path = far(one)
    fs.rm(path)
    with pytest.raises(CorruptObject, match="missing, here and in the shared store"):
        one.read(digest_bytes(b"result"))
    assert one.get(KEY) is None
    commit(one)
    assert machine("two").read(digest_bytes(b"result")) == b"result"


def test_a_damaged_artifact_there_is_never_returned(machine: Machine) -> None:
    """It is set aside on both sides, counts as missing, and the next commit writes it anew."""
    fs, path = far(one := machine("one"))
    commit(one)
    fs.rm(path)
    fs.pipe_file(path, b"RESULT")
    two = machine("two")
    assert two.get(KEY) is not None
    with pytest.raises(CorruptObject, match="moved to quarantine"):
        two.read(digest_bytes(b"result"))
    assert [name.partition(".")[0] for name in two.quarantined()] == [digest_bytes(b"result")]
    assert two.get(KEY) is None
    assert not fs.exists(path)
    commit(two)
    assert machine("three").read(digest_bytes(b"result")) == b"result"


def test_a_damaged_artifact_that_cannot_be_moved_is_replaced(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that may not rename does not keep everybody else on a damaged object."""
    fs, path = far(one := machine("one"))
    commit(one)
    fs.rm(path)
    fs.pipe_file(path, b"RESULT")
    two = machine("two")
    monkeypatch.setattr(Remote, "quarantine", lambda self, digest: False)
    two.get(KEY)
    with pytest.raises(CorruptObject, match="could not be moved aside"):
        two.read(digest_bytes(b"result"))
    assert two.get(KEY) is None
    commit(two)
    assert fs.cat_file(path) == b"result"


@pytest.mark.parametrize("content", [b"res", b"", b"result, and more"])
def test_an_artifact_of_another_size_there_is_never_returned(machine: Machine, content: bytes) -> None:
    """An upload that broke off, where uploads are not atomic, is not taken for a result."""
    fs, path = far(one := machine("one"))
    commit(one)
    fs.rm(path)
    fs.pipe_file(path, content)
    two = machine("two")
    assert two.get(KEY) is not None
    with pytest.raises(CorruptObject):
        two.read(digest_bytes(b"result"))
    assert two.get(KEY) is None


def test_what_is_found_there_costs_one_request_and_one_more_when_it_is_read(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network takes its time for each; the second look takes none."""
    fs, _ = far(one := machine("one"))
    commit(one)
    asked: list[str] = []
    for name in ("cat_file", "info", "exists", "ls", "pipe_file"):
        call = getattr(type(fs), name)
        monkeypatch.setattr(type(fs), name, _counted(asked, name, call))
    two = machine("two")
    assert two.get(KEY)
    assert asked == ["cat_file"]
    assert two.read(digest_bytes(b"result"))
    assert asked == ["cat_file"] * 2
    assert two.get(KEY)
    assert two.read(digest_bytes(b"result"))
    assert len(asked) == 2


def _counted(asked: list[str], name: str, call: Callable[..., object]) -> Callable[..., object]:
    def counted(*arguments: object, **named: object) -> object:
        asked.append(name)
        return call(*arguments, **named)

    return counted


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"key": 1}', b"[" * 100_000])
def test_an_unreadable_record_there_is_a_miss(machine: Machine, damage: bytes) -> None:
    """Damaged or written by another version; committing replaces it."""
    one = machine("one")
    commit(one)
    fs, path = one.remote._fs, one.remote._record_path(KEY)
    fs.pipe_file(path, damage)
    two = machine("two")
    assert two.get(KEY) is None
    commit(two)
    assert machine("three").get(KEY) is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"version": 1', '"version": 2'),
        (digest_bytes(b"result"), "../../../../etc/passwd"),
        (", 6]", ", -6]"),
        ("1.5", "NaN"),
        ("0.25", '"0.25"'),
    ],
)
def test_an_edited_record_there_is_a_miss(machine: Machine, old: str, new: str) -> None:
    """What others may write is checked before it is used."""
    one = machine("one")
    commit(one)
    fs, path = one.remote._fs, one.remote._record_path(KEY)
    text = fs.cat_file(path).decode()
    assert old in text
    fs.pipe_file(path, text.replace(old, new).encode())
    assert machine("two").get(KEY) is None


def test_samples_of_two_machines_are_put_together(machine: Machine) -> None:
    """A measuring node that both measured has both sessions, the newer sender's being the current one."""
    one, two = machine("one"), machine("two")
    first = commit(one, b"session 1")
    second = commit(two, b"session 2")
    record = machine("three").get(KEY)
    assert record is not None
    assert (record.outputs, record.earlier) == (second.outputs, (first.outputs,))
    assert two.get(KEY) == record
    commit(one, b"session 3", earlier=(first.outputs,))
    record = machine("four").get(KEY)
    assert record is not None
    assert record.earlier == (first.outputs, second.outputs)


def test_the_second_to_finish_the_same_changes_nothing(machine: Machine) -> None:
    """Equal outputs leave the record of the first."""
    commit(machine("one"), finished_at=1.0)
    commit(machine("two"), finished_at=2.0)
    record = machine("three").get(KEY)
    assert record is not None
    assert record.finished_at == 1.0


def test_what_cannot_be_sent_is_kept_and_sent_later(url: str, tmp_path: Path) -> None:
    """The work is not lost, the failure is said, and the next command that reaches the other side sends it."""
    offline = SharedStore(tmp_path / "one", Remote(NOWHERE))
    record = Record(KEY, "train", PREIMAGE, {"out": offline.put(b"result", "text")}, 1.5, 0.25)
    with pytest.raises(EnvironmentProblem, match=r"ftp://127\.0\.0\.1:1/store cannot be read"):
        offline.commit(record)
    assert offline.get(KEY) == record
    warnings: list[str] = []
    offline.send_rest(warnings.append)
    assert warnings[0].startswith("1 results of this machine are not in the shared store yet: ")
    assert "secret" not in warnings[0]
    SharedStore(tmp_path / "one", Remote(url)).send_rest(warnings.append)
    assert len(warnings) == 1
    assert SharedStore(tmp_path / "two", Remote(url)).get(KEY) == record
    assert os.listdir(tmp_path / "one" / "outbox") == []


def test_what_a_living_process_is_sending_is_left_to_it(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens the store waits for it, and then has nothing to send."""
    one, two = machine("one"), machine("one")
    entry = one.root / "outbox" / KEY
    commit(one)
    entry.touch()
    monkeypatch.setattr(Remote, "put_record", lambda self, record: pytest.fail("sent twice"))
    with one.locked(f"send {KEY}"):
        other = threading.Thread(target=two.send_rest, args=[pytest.fail])
        other.start()
        other.join(0.2)
        assert other.is_alive()
        entry.unlink()
    other.join()
    assert not entry.exists()


def test_an_unknown_key_out_of_reach_is_an_environment_problem(tmp_path: Path) -> None:
    """Whether somebody has it cannot be told, and computing it could not be shared."""
    with pytest.raises(EnvironmentProblem, match="cannot be read"):
        SharedStore(tmp_path, Remote(NOWHERE)).get(KEY)


@pytest.mark.parametrize("url", ["s4://bucket", "abfs://nowhere"])
def test_an_unknown_or_lacking_protocol_is_said(url: str, tmp_path: Path) -> None:
    """The message has what fsspec says: which package to install."""
    with pytest.raises(EnvironmentProblem, match="cannot be opened"):
        SharedStore(tmp_path, Remote(url)).get(KEY)


def test_fsspec_that_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(EnvironmentProblem, match="not installed") as caught:
        SharedStore(tmp_path, Remote("memory://far")).get(KEY)
    assert caught.value.hint == 'pip install "tinytorch-pipeline[remote]"'


def test_a_store_opens_again_in_another_process(tmp_path: Path) -> None:
    """Pickled, it is its two addresses."""
    one = SharedStore(tmp_path / "one", Remote(f"file://{tmp_path}/far"))
    record = commit(one)
    assert pickle.loads(pickle.dumps(one)).get(KEY) == record


def test_each_url_has_a_folder_of_its_own() -> None:
    """A trailing slash makes no other store."""
    folders = {cache_folder(url, Path(".pipeline")) for url in ("s3://a/b", "s3://a/b/", "s3://a/c")}
    assert len(folders) == 2
    assert all(folder.parent == Path(".pipeline/remote") for folder in folders)


def test_the_other_side_of_a_folder_is_a_store_itself(tmp_path: Path) -> None:
    """The layout is the same, so that a folder can become a shared store and back."""
    record = commit(SharedStore(tmp_path / "one", Remote(f"file://{tmp_path}/far")))
    assert LocalStore(tmp_path / "far").get(KEY) == record


KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.pipeline.store import test_shared_store as test
steps = iter(range(1000))
def counted(call):
    def step(*arguments, **named):
        if next(steps) == {at}:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **named)
    return step
store = test.SharedStore(Path({folder!r}, "one"), test.Remote("file://" + {folder!r} + "/far"))
for name in ("replace", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
test.commit(store)
print(next(steps))
"""


def test_a_commit_that_is_killed_at_any_step_is_sent_or_sent_later(tmp_path: Path) -> None:
    """Whoever finds the record there finds its objects; what is committed here arrives with the next command."""
    steps = 100
    for at in range(steps):
        folder = tmp_path / str(at)
        code = KILLED.format(root=str(Path(__file__).parents[3]), folder=str(folder), at=at)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        two = SharedStore(folder / "two", Remote(f"file://{folder}/far"))
        if record := two.get(KEY):
            assert two.read(record.outputs["out"].digest) == b"result"
        one = SharedStore(folder / "one", Remote(f"file://{folder}/far"))
        one.send_rest(pytest.fail)
        assert (LocalStore(folder / "one").get(KEY) is None) == (two.get(KEY) is None)
        assert not two.quarantined()
        if done.returncode == 0:
            break
    assert at >= 6
