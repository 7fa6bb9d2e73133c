"""How many stages of a chain of four run again after a change: as many as have to, with every executor."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests import killing
from tests.chain import PLAIN, Chain, copy_with_chain
from tests.project import Project


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the stages of the chain."""
    return copy_with_chain(tmp_path_factory.mktemp("chain"))


@pytest.fixture(params=["inline", "processes"], scope="module")
def chain(copied: Project, request: pytest.FixtureRequest) -> Chain:
    """A chain that has run once; each test leaves it as it found it."""
    chain = Chain(copied, request.param)
    killing.forget(copied)
    assert chain.run().ran == ["a", "b", "c", "d"]
    return chain


def test_nothing_to_do(chain: Chain) -> None:
    """None of four."""
    assert chain.run().ran == []


def test_a_parameter_changed_and_flipped_back(chain: Chain) -> None:
    """Three of four: the stage with the parameter, and what follows; none when it is as it was."""
    before = chain.run()
    chain.set([("a", 99), ("x", 2), *PLAIN[2:]])
    assert chain.run().ran == ["x", "c", "d"]
    chain.set(PLAIN)
    assert chain.run() == before


def test_a_change_that_gives_the_same_bytes(chain: Chain) -> None:
    """One of four: the third stage keeps all three letters it gets, whether it may keep 99 or 98."""
    before = chain.run()
    chain.set([*PLAIN[:2], ("c", 98), PLAIN[3]])
    after = chain.run()
    assert (after.ran, after.digests) == (["c"], before.digests)
    chain.set(PLAIN)
    assert chain.run() == before


def test_a_touched_file(chain: Chain) -> None:
    """None of four: times are not content."""
    os.utime(chain.project.folder / "source.txt", (1, 1))
    os.utime(chain.project.folder / "pipeline/stages/link.py", (1, 1))
    assert chain.run().ran == []


def test_an_edited_comment(chain: Chain) -> None:
    """None of four: comments are not code."""
    chain.project.edit("pipeline/stages/link.py", "    before =", "    # what came\n    before =")
    assert chain.run().ran == []
    chain.project.edit("pipeline/stages/link.py", "    # what came\n", "")


def test_a_deleted_intermediate(chain: Chain) -> None:
    """One of four, since there is no other copy: the stage that made it; what follows has nothing to do."""
    before = chain.run()
    chain.object(before.digests[1]).unlink()
    after = chain.run()
    assert (after.ran, after.digests) == (["b"], before.digests)
    assert chain.object(before.digests[1]).read_text() == "frb"


def test_a_deleted_intermediate_of_which_the_shared_store_has_a_copy(copied: Project) -> None:
    """None of four, and it is there again as soon as a stage reads it."""
    pytest.importorskip("fsspec")
    killing.forget(copied)
    chain = Chain(copied, "inline", f"file://{copied.folder}/shared")
    before = chain.run()
    (copy,) = (copied.folder / ".pipeline/remote").glob(f"*/objects/{before.digests[1][:2]}/{before.digests[1][2:]}")
    copy.unlink()
    assert chain.run().ran == []
    chain.set([*PLAIN[:2], ("c", 98), PLAIN[3]])
    assert chain.run().ran == ["c"]
    assert copy.read_text() == "frb"


def test_a_damaged_intermediate_that_is_needed(chain: Chain) -> None:
    """Two of four: the stage that has to read it, and the one that makes it again."""
    before = chain.run()
    path = chain.object(before.digests[1])
    path.chmod(0o644)
    path.write_text("???")
    chain.set([*PLAIN[:2], ("c", 97), PLAIN[3]])
    after = chain.run()
    assert (after.ran, after.digests) == (["b", "c"], before.digests)
    assert path.read_text() == "frb"
    chain.set(PLAIN)
    assert chain.run() == before


def test_two_runs_at_once_execute_every_stage_once(chain: Chain) -> None:
    """Four, for both together: who comes second waits, and takes what the other made."""
    chain.set([(text.upper(), keep) for text, keep in PLAIN])
    chain.forget()
    for process in [chain.start(log) for log in ("one", "two")]:
        assert process.wait(killing.PATIENCE_S) == 0
    one, two = chain.answer("one"), chain.answer("two")
    assert chain.executed() == Counter("ABCD") == Counter(one.ran + two.ran)
    assert one.digests == two.digests
    chain.set(PLAIN)
