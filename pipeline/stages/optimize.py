"""The optimize stage: one step of the recipe, model in (and its teacher), smaller model and its effect report out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.stage import Inputs
from tinytorch.core.watching import watched
from tinytorch.kernels.calls import using_threads
from tinytorch.passes import PROFILE, TEACHER, load_pass
from tinytorch.tasks import load_task

__all__ = ["execute"]

_AS_THEY_ARE = (PROFILE, TEACHER)  # all other roles are splits of the data


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Apply `spec["pass"]`; raises NoEffectError when it changes nothing and the file does not allow that."""
    technique = load_pass(spec["pass"])
    settings = technique.Settings.from_params(spec["params"])
    given = {role: inputs[role] for role in inputs if role != "model"}
    read_split = load_task("splits", spec.get("task")).read_split
    data = {role: value if role in _AS_THEY_ARE else read_split(value) for role, value in given.items()}
    with watched(inputs.scratch, inputs.say), using_threads(inputs.threads):
        model, effect, history = technique.apply(inputs["model"], settings, data, spec["seed"])
    return {"model": model, "effect": effect.to_json(), "history": history or []}
