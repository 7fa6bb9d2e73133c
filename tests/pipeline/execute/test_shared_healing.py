"""A damaged object in a shared store, met in the middle of a run: its node runs again, and the store is whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.core.event import Outcome
from pipeline.core.plan import Plan
from pipeline.execute.decide import Oracle
from pipeline.execute.limits import Limits
from pipeline.execute.scheduler import NodeResult, execute_plan
from pipeline.store.local import LocalStore
from pipeline.store.remote import Remote
from pipeline.store.shared import SharedStore
from tests.pipeline.execute.clusters import STAGES, environment, node, plan

pytest.importorskip("fsspec")


def run(folder: Path, machine: str, what: Plan, limits: Limits) -> tuple[SharedStore, dict[str, NodeResult]]:
    store = SharedStore(folder / machine, Remote(f"file://{folder}/far"))
    return store, execute_plan(what, Oracle(store, STAGES), lambda event: None, limits)


@pytest.mark.parametrize("limits", [Limits(), Limits("processes", 2)], ids=["inline", "processes"])
@pytest.mark.parametrize("damage", ["changed", "cut short", "deleted"])
def test_a_damaged_object_is_computed_again(
    limits: Limits, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever process finds it, the second machine has the right result, and the third one nothing to do."""
    environment(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "dask_stage_of_this_test", raising=False)
    _, first = run(tmp_path, "one", plan(node("a", tmp_path)), limits)
    assert first["a"].record
    path = LocalStore(tmp_path / "far").object_path(first["a"].record.outputs["out"].digest)
    whole = path.read_bytes()
    path.unlink()
    if damage != "deleted":
        path.write_bytes(b"x" * len(whole) if damage == "changed" else b"")
    chain = plan(node("a", tmp_path), node("b", tmp_path, "a"))
    two, results = run(tmp_path, "two", chain, limits)
    assert results["b"].record
    assert two.read(results["b"].record.outputs["out"].digest) == b"b|a"
    assert bool(two.quarantined()) == (damage != "deleted")
    assert path.read_bytes() == whole
    three, results = run(tmp_path, "three", chain, limits)
    assert {end.outcome for end in results.values()} == {Outcome.CACHED}
    assert three.quarantined() == frozenset()
