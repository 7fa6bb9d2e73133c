"""A run is killed before every single change to a file of the store: there is no moment at which it could lose."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from pipeline.store.local import LocalStore
from tests import killing
from tests.chain import Chain, Ran, copy_with_chain
from tests.project import Project

FEW = 7  # writes from one kill of the quick test to the next


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the stages of the chain."""
    return copy_with_chain(tmp_path_factory.mktemp("writes"))


def kill_at_writes(project: Project, executor: str, whom: str, step: int) -> None:
    """Kill a run from nothing before every write, or every `step`th, and check what the next run does."""
    chain = Chain(project, executor)
    killing.forget(project)
    chain.start("answer", **killing.tripwire(project)).wait(killing.PATIENCE_S)
    undisturbed = chain.answer("answer")
    for write in range(1, killing.writes_of(project) + 1, step):
        killing.forget(project)
        code = chain.start("said", **killing.tripwire(project, AT=str(write), WHOM=whom)).wait(killing.PATIENCE_S)
        # How often workers write depends on who comes first, and what is remembered of files on how old they are.
        assert code == -signal.SIGKILL or (code == 0 and killing.writes_of(project) < write) or executor != "inline"
        killing.wait_until_alone(project)
        check_recovery(chain, undisturbed, write)


def check_recovery(chain: Chain, undisturbed: Ran, write: int) -> None:
    killing.check_sound(chain.project)
    store = chain.project.folder / killing.STORE
    finished = set()
    if store.exists():
        snapshot = store.with_name("before")
        shutil.rmtree(snapshot, ignore_errors=True)
        shutil.copytree(store, snapshot)
        before = LocalStore(snapshot)
        finished = {text for text, key in zip("abcd", undisturbed.keys, strict=True) if before.peek(key)}
        before.close()
    after = chain.run()
    assert after.ran == [text for text in "abcd" if text not in finished], f"killed before write {write}"
    assert (after.keys, after.digests) == (undisturbed.keys, undisturbed.digests), f"killed before write {write}"
    killing.check_sound(chain.project)


def test_a_run_killed_before_some_writes_is_taken_up(copied: Project) -> None:
    """Nothing is damaged, what has a record is not computed again, all else is, and the digests are the same."""
    kill_at_writes(copied, "inline", "group", FEW)


@pytest.mark.slow
@pytest.mark.parametrize(("executor", "whom"), [("inline", "group"), ("processes", "group"), ("processes", "writer")])
def test_a_run_killed_before_any_write_is_taken_up(copied: Project, executor: str, whom: str) -> None:
    """The same before every write, in the command's process or in a worker; a lost worker is replaced."""
    kill_at_writes(copied, executor, whom, 1)


@pytest.mark.slow
def test_a_run_killed_beside_a_shared_store_has_shared_all_after_the_next(copied: Project) -> None:
    """What was finished here and not yet sent is sent by the next run: without this machine's copies nothing runs."""
    pytest.importorskip("fsspec")
    shared = copied.folder / f"{killing.STORE}-shared"  # a name that begins so: its writes count as well
    chain = Chain(copied, "inline", f"file://{shared}")
    forget_both(copied, shared)
    chain.start("answer", **killing.tripwire(copied)).wait(killing.PATIENCE_S)
    undisturbed = chain.answer("answer")
    for write in range(1, killing.writes_of(copied) + 1, 2):
        forget_both(copied, shared)
        code = chain.start("said", **killing.tripwire(copied, AT=str(write), WHOM="group")).wait(killing.PATIENCE_S)
        assert code == -signal.SIGKILL
        assert chain.run().digests == undisturbed.digests, f"killed before write {write}"
        killing.forget(copied)
        after = chain.run()
        assert (after.ran, after.digests) == ([], undisturbed.digests), f"killed before write {write}"


def forget_both(project: Project, shared: Path) -> None:
    killing.forget(project)
    shutil.rmtree(shared, ignore_errors=True)
