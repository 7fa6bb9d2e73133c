"""How much each layer of an experiment's baseline minds being compressed: planned, executed, read from the store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pipeline.core.experiment import Run
from pipeline.core.sensitivity import Asked, plan_sensitivity
from pipeline.execute.catalog import make_catalog
from pipeline.execute.decide import Oracle
from pipeline.execute.estimate import Estimator
from pipeline.execute.interrupt import Stop
from pipeline.execute.limits import UNLIMITED
from pipeline.execute.session import Session
from pipeline.run import Watcher
from pipeline.stages import STAGES
from pipeline.store.local import LocalStore

__all__ = ["find_sensitivity"]


def find_sensitivity(
    run: Run, asked: Sequence[Asked], targets: Sequence[str], store: LocalStore, watch: Watcher, stop: Stop
) -> dict[str, Any] | None:
    """Return what the stage found for the baseline of `run`, from the store where nothing has changed.

    None after a stop. What a stage raises is raised.
    """
    oracle = Oracle(store, STAGES)
    plan, last = plan_sensitivity(run, asked, targets, make_catalog(oracle.environment))
    watch.begin(plan.nodes, Estimator(store, oracle.stages))
    with Session(oracle, watch, UNLIMITED, stop) as session:
        session.execute(plan)
    for result in session.results.values():
        if result.error:
            raise result.error
    record = session.results[last].record
    if record is None:
        return None
    found: dict[str, Any] = json.loads(store.read(record.outputs["sensitivity"].digest))
    return found
