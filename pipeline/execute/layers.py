"""What each step will do to each layer, before anything is trained: the passes applied to an untrained network.

Which layers a step matches and how they are set does not depend on the weights; which of a layer's units or weights are
removed does, and is not said here. Only which layers become two (`low_rank`) may be others once they are trained, and
what a budget gives to which layer is found out by trying.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.core.experiment import Run, Step
from tinytorch.data import load_dataset_module
from tinytorch.errors import NoEffectError
from tinytorch.models import STORED, load_model_module
from tinytorch.passes import load_pass, resolve
from tinytorch.tasks import load_task, task_of
from tinytorch.weights import stored_network

__all__ = ["layer_settings"]

_SAMPLES = 16  # enough to calibrate on; the scales are not shown
# What a file sets; the rest of a setting follows from it.
_ASKED = ("sparsity", "keep", "bits", "weights", "group_size", "activations", "norm", "into")
_ANY_SHAPE = (3, 32, 32)
_ANY_CLASSES = 10  # where only the files tell (image folders); the last layer's width changes no name


def layer_settings(run: Run) -> Iterator[tuple[Step, dict[str, str]]]:
    """Yield each step with layer name -> setting in words; a step that only trains sets no layer and is left out.

    Raises what the pass raises for a target that matches nothing, or a step that would change nothing; not for
    low_rank by energy, which trained weights decide.
    """
    dataset = load_dataset_module(run.data.name)
    shape = dataset.shape(**run.data.args) or _ANY_SHAPE
    classes = dataset.classes_count(**run.data.args) or _ANY_CLASSES
    rng = np.random.default_rng(0)
    if run.model.arch == STORED and run.model.weights:
        model = stored_network(run.model.weights.file, shape)
    else:
        model = load_model_module(run.model.arch).build(shape, classes, rng, **run.model.args)
    splits = load_task("splits", task_of(run.data.name))
    data = {"train": splits.random_split(shape, classes, _SAMPLES, rng)}
    for step in run.steps:
        name, params = resolve(step.use, step.params)
        technique = load_pass(name)
        if "validation" in technique.NEEDS:  # it trains
            if not {"epochs", "targets"} <= params.keys():
                continue
            params = {**params, "epochs": 0}  # how layers are held does not depend on training them
        try:
            model, effect, _ = technique.apply(model, technique.Settings.from_params(params), data, run.seed)
        except NoEffectError:
            if params.get("rank_by") != "energy":
                raise
            continue
        asked = tuple(params["args"]) if step.use == "custom" else _ASKED
        yield step, {layer.name: _words(layer.settings, asked) for layer in effect.layers}


def _words(settings: Mapping[str, Any], asked: Sequence[str]) -> str:
    if not settings and asked is _ASKED:
        return "narrowed, because its input is"
    units = "{units_before} → {units_after} units".format_map(settings) if "units_after" in settings else ""
    words = [f"{key} {value}" for key, value in settings.items() if key in asked]
    return ", ".join([*words, *([units] if units else [])])
