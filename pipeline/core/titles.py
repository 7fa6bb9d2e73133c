"""What a step is called, where people read of it: its name and the settings that tell most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.experiment import Step

__all__ = ["step_title"]

_TELLING = {
    "budget": ("use", "target"),
    "custom": ("name",),
    "prune": ("method", "sparsity", "ramp"),
    "finetune": ("epochs",),
    "low_rank": ("keep",),
    "distill": ("epochs",),
    "quantize": ("bits", "method"),
}
_USUAL = ("none", "rtn")  # and not worth a word


def step_title(step: Step) -> str:
    """Return the step's name with what tells it from others of its kind: "quantize bits=4"."""
    given = ((name, step.params[name]) for name in _TELLING.get(step.use, ()) if name in step.params)
    shown = ((name, value) for name, value in given if value not in _USUAL)
    return " ".join([step.use, *(_shown(name, value) for name, value in shown)])


def _shown(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(_shown(inner, item) for inner, item in value.items())
    return value if isinstance(value, str) else f"{name}={value}"
