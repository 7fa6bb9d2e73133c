"""The sensitivity stage: the baseline with one layer changed at a time, judged on the validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pipeline.core.stage import Inputs
from tinytorch.models.network import Network
from tinytorch.passes.sensitivity import Change, candidates, quality, try_changes
from tinytorch.tasks import load_task

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the baseline, what is known of each layer that was changed, and every trial.

    `spec` has `changes` (label, pass, params), the globs `targets`, and `seed`. Raises TargetError for a glob that
    matches no layer.
    """
    model: Network = inputs["model"]
    read_split = load_task("splits", spec.get("task")).read_split
    data = {role: read_split(inputs[role]) for role in ("train", "validation")}
    changes = [Change(change["label"], change["pass"], change["params"]) for change in spec["changes"]]
    layers = {change.label: candidates(model, change, spec["targets"]) for change in changes}
    trials = [asdict(trial) for trial in try_changes(model, changes, layers, data, spec["seed"])]
    tried = {trial["layer"] for trial in trials}
    found = {
        "baseline": asdict(quality(model, data["validation"])),
        "validation_items": int(data["validation"].labels.size),
        "changes": [change.label for change in changes],
        "layers": [
            {
                "name": name,
                "kind": type(layer).__name__,
                "parameters": layer.parameter_count(),
                "bytes": sum(array.nbytes for array in layer.state().values()),
                "macs": layer.macs(shape),
            }
            for name, layer, shape, _ in model.named_shapes()
            if name in tried
        ],
        "trials": trials,
    }
    return {"sensitivity": found}
