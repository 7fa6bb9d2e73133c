"""How the submitted model came to be: what each step did to the accuracy, and what was learned while training.

The answers of two models to the same items are compared as baseline and optimized are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.core.stage import Inputs
from pipeline.stats.accuracy import accuracy_record, mcnemar
from pipeline.stats.paired import paired_difference

__all__ = ["accuracies_after", "training_curves"]

_SPLITS = ("validation", "test")
_CONFIDENCE = 0.95


def accuracies_after(index: int, steps: Sequence[Mapping[str, Any]], inputs: Inputs) -> list[dict[str, Any]]:
    """Return for each step of a run the accuracy of its model on both splits, and the change that it made to it.

    The change is that of the answers to the same items, with its interval (Bonett & Price) and McNemar's p-value.
    """
    last = len(steps) - 1
    roles = [f"predictions.optimized.{index}" if k == last else f"predictions.{index}.{k}" for k in range(len(steps))]
    before, records = inputs[f"predictions.baseline.{index}"], []
    for role in roles:
        after = inputs[role]
        records.append({split: _after(before, after, split) for split in _SPLITS})
        before = after
    return records


def training_curves(index: int, steps: Sequence[Mapping[str, Any]], inputs: Inputs) -> list[dict[str, Any]]:
    """Return loss and accuracy of each epoch, of the baseline's training ("train") and of each step that trains.

    What was seen of a training from inside, which its first epoch holds, is its `inspection`.
    """
    histories = [("train", inputs[f"history.{index}"])]
    histories += [(step["id"], inputs[f"history.{index}.{k}"]) for k, step in enumerate(steps)]
    return [_curve(name, epochs) for name, epochs in histories if epochs]


def _curve(name: str, epochs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    figures = [{key: value for key, value in epoch.items() if key != "inspection"} for epoch in epochs]
    inspection = epochs[0].get("inspection")
    return {"id": name, "epochs": figures, **({"inspection": inspection} if inspection else {})}


def _after(before: Mapping[str, Any], after: Mapping[str, Any], split: str) -> dict[str, Any]:
    labels = after[f"{split}_labels"]
    was, now = (np.equal(answers[split], answers[f"{split}_labels"]) for answers in (before, after))
    test = mcnemar(was, now)
    change, interval = paired_difference(test.only_baseline, test.only_candidate, len(labels), _CONFIDENCE)
    record = accuracy_record(int(now.sum()), len(labels), _CONFIDENCE)
    return {
        "accuracy": record["accuracy"],
        "interval": record["interval"],
        "change": change,
        "change_interval": list(interval),
        "p_value": test.p_value,
    }
