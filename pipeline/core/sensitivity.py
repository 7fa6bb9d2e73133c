"""The plan of a look at each layer's sensitivity: data, baseline, and one node that tries all changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.core.experiment import Run, as_json
from pipeline.core.plan import Catalog, Draft, Plan, Ref, plan_baseline

__all__ = ["Asked", "plan_sensitivity"]


class Asked(NamedTuple):
    """A step to be tried on single layers: its name in an experiment file, parameters, and what to call it."""

    label: str
    use: str
    params: Mapping[str, Any]


def plan_sensitivity(run: Run, asked: Sequence[Asked], targets: Sequence[str], catalog: Catalog) -> tuple[Plan, str]:
    """Return the plan and the id of its last node, which gives `sensitivity`."""
    draft = Draft(catalog)
    data, train = plan_baseline(draft, run)
    resolved = [(one.label, *catalog.resolve_step(one.use, one.params)) for one in asked]
    spec = {
        "changes": [{"label": label, "pass": name, "params": as_json(params)} for label, name, params in resolved],
        "targets": list(targets),
        "seed": run.seed,
    }
    inputs = {"model": Ref(train, "model"), "train": Ref(data, "train"), "validation": Ref(data, "validation")}
    passes = sorted({catalog.pass_module(name) for _, name, _ in resolved})
    last = draft.add("sensitivity", run.model.arch, spec, inputs, (*passes, *catalog.codec_modules("model")))
    return Plan(tuple(draft.nodes.values()), (), "", ""), last
