"""Metrics of the user's own: functions of answers and labels, on both splits and for both models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.core.errors import UserError
from tinytorch.own import own_module

__all__ = ["custom_metrics"]

_SPLITS = ("validation", "test")


def custom_metrics(
    names: Iterable[str], predictions: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return name -> side -> split -> figure, of the answers and labels of both models (side -> arrays by split).

    Raises UserError for a metric that this process was not told of, and what the user's function raises.
    """
    return {name: _of_both(name, predictions) for name in names}


def _of_both(name: str, predictions: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    module = own_module("metrics", name)
    if module is None:
        raise UserError(f"there is no metric {name} of your own here", hint="name the file that has it: --use FILE.py")
    return {
        side: {split: module.measure(arrays[split].copy(), arrays[f"{split}_labels"].copy()) for split in _SPLITS}
        for side, arrays in predictions.items()
    }
