"""Optimization passes by name, and how a step of an experiment file names one. Free of NumPy, so that planning can ask.

`PASSES` maps a name to its module, imported when the pass runs: listing is cheap, and a change to one pass leaves the
cached results of the others alone. Every module offers ``Settings`` (a frozen dataclass with ``from_params``),
``NEEDS`` (the data roles it reads) and
``apply(model, settings, data, seed) -> (new model, Effect, history or None)``, which never touches its input.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from tinytorch.errors import TinyTorchError
from tinytorch.own import own_module

__all__ = [
    "KINDS",
    "PASSES",
    "PROFILE",
    "RAMPED",
    "STEPS",
    "TEACHER",
    "add_pass",
    "kinds",
    "load_pass",
    "needs",
    "resolve",
]

PASSES: dict[str, str] = {
    "block_prune": "tinytorch.passes.block_prune",
    "budget": "tinytorch.passes.budget",
    "distill": "tinytorch.passes.distill",
    "finetune": "tinytorch.passes.finetune",
    "gptq": "tinytorch.passes.gptq",
    "fuse": "tinytorch.passes.fuse",
    "gradual_prune": "tinytorch.passes.gradual_prune",
    "low_rank": "tinytorch.passes.low_rank",
    "magnitude_prune": "tinytorch.passes.magnitude_prune",
    "qat": "tinytorch.passes.qat",
    "quantize": "tinytorch.passes.quantize",
    "structured_prune": "tinytorch.passes.structured_prune",
}

# The types of layers each pass changes. Here, because checking an experiment's targets must not load the passes.
KINDS: dict[str, tuple[str, ...]] = {
    "block_prune": ("BlockSparseLinear", "Linear", "SparseLinear"),
    "budget": ("BlockSparseLinear", "Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
    "distill": ("BatchNorm2d", "BlockSparseLinear", "Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
    "finetune": ("BatchNorm2d", "BlockSparseLinear", "Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
    "gptq": ("BlockSparseLinear", "Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
    "fuse": ("BatchNorm2d",),
    "low_rank": ("Conv2d", "Linear"),
    "magnitude_prune": ("Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
    "qat": ("BlockSparseLinear", "Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
    "quantize": ("BlockSparseLinear", "Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
    "structured_prune": ("BlockSparseLinear", "Conv2d", "Linear", "SparseConv2d", "SparseLinear"),
}

TEACHER = "teacher"  # the role of the trained baseline, which is a network and no split
PROFILE = "profile"  # the role of the baseline's profile: each layer's work and time

# What each pass may read; the module's own NEEDS says the same (tested). Planning must know it without importing NumPy.
_NEEDS: dict[str, frozenset[str]] = {
    "block_prune": frozenset(),
    "budget": frozenset({PROFILE, "validation"}),
    "distill": frozenset({TEACHER, "train", "validation"}),
    "finetune": frozenset({"train", "validation"}),
    "gptq": frozenset({"train"}),
    "fuse": frozenset(),
    "gradual_prune": frozenset({"train", "validation"}),
    "low_rank": frozenset(),
    "magnitude_prune": frozenset(),
    "qat": frozenset({"train", "validation"}),
    "quantize": frozenset({"train"}),
    "structured_prune": frozenset(),
}

_OF_TRAINING = frozenset({"epochs", "lr", "batch_size", "schedule"})

# step -> (the parameter that chooses the pass, its default, choice -> (pass, parameters that mean nothing to it))
STEPS: dict[str, tuple[str | None, str, dict[str, tuple[str, frozenset[str]]]]] = {
    "budget": (None, "", {"": ("budget", frozenset())}),
    "custom": ("name", "", {}),  # a pass of the user's own, see `add_pass`
    "distill": (None, "", {"": ("distill", frozenset())}),
    "finetune": (None, "", {"": ("finetune", frozenset())}),
    "fuse": (None, "", {"": ("fuse", frozenset())}),
    "low_rank": (None, "", {"": ("low_rank", frozenset())}),
    "prune": (
        "method",
        "structured",
        {
            "block": ("block_prune", frozenset()),
            "magnitude": ("magnitude_prune", frozenset({"importance"})),  # of a single weight, l1 and l2 agree
            "structured": ("structured_prune", frozenset()),
        },
    ),
    "quantize": (
        "method",
        "rtn",
        {
            "gptq": ("gptq", _OF_TRAINING),
            "qat": ("qat", frozenset()),
            "rtn": ("quantize", _OF_TRAINING),
        },
    ),
}

# step -> (the parameter that says in how many steps it is done, its value for one, the pass that does several, what
# means something to that pass only); it is given the step's chooser, too
RAMPED: dict[str, tuple[str, str, str, frozenset[str]]] = {
    "prune": ("ramp", "none", "gradual_prune", frozenset({"steps"}) | _OF_TRAINING)
}


def add_pass(name: str, module: str, reads: frozenset[str]) -> None:
    """Let the step `custom` name a pass of the user's own, whose code is `module` and which reads these splits."""
    PASSES[name], _NEEDS[name] = module, reads
    STEPS["custom"][2][name] = name, frozenset()


def load_pass(name: str) -> ModuleType:
    """Return the module of the pass `name`; raises TinyTorchError with the valid names and the nearest."""
    module = PASSES[_known("pass", name, PASSES)]
    return own_module("passes", name) or importlib.import_module(module)


def needs(name: str, params: Mapping[str, Any] | None = None) -> frozenset[str]:
    """Return the roles of what the pass `name` reads: all it may read, or with `params` only what these settings read.

    They are splits of the data, the teacher and the profile. A quantization to the nearest without calibrated
    ("static") activations reads no data; a budget that is no speed-up needs no profile.
    """
    roles = _NEEDS[_known("pass", name, PASSES)]
    if name == "quantize" and params is not None:
        layers = (params, *params.get("per_layer", {}).values())
        return roles if any(layer.get("activations") == "static" for layer in layers) else frozenset()
    if name == "budget" and params is not None and params.get("target", {}).get("speedup") is None:
        return roles - {PROFILE}
    return roles


def resolve(step: str, params: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the pass that a step of an experiment file means, and the parameters for its Settings.

    ``resolve("prune", {"method": "magnitude", "sparsity": 0.5}) == ("magnitude_prune", {"sparsity": 0.5})``.
    Raises TinyTorchError for an unknown step or method, with the nearest valid one.
    """
    chooser, name, meaningless = _chosen(step, params)
    if step in RAMPED:
        ramp, at_once, gradual, only = RAMPED[step]
        if params.get(ramp, at_once) != at_once:
            return gradual, {key: value for key, value in params.items() if key not in meaningless}
        meaningless |= {ramp, *only}
    return name, {key: value for key, value in params.items() if key != chooser and key not in meaningless}


def kinds(step: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types of layers that a step of an experiment file changes; raises like `resolve`."""
    return KINDS[_chosen(step, params)[1]]


def _chosen(step: str, params: Mapping[str, Any]) -> tuple[str | None, str, frozenset[str]]:
    """Return what chooses the step's pass, that pass, and the parameters that mean nothing to it."""
    chooser, default, choices = STEPS[_known("step", step, STEPS)]
    chosen = default if chooser is None else params.get(chooser, default)
    return chooser, *choices[_known(str(chooser), chosen, choices)]


def _known(what: str, name: Any, table: Mapping[str, object]) -> str:
    if isinstance(name, str) and name in table:
        return name
    near = difflib.get_close_matches(str(name), table, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise TinyTorchError(f"no {what} is named {name!r}{hint} (valid: {', '.join(sorted(table))})")
