"""The data stage: load a dataset and hand on its three disjoint splits, each as an artifact of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.stage import Inputs
from tinytorch.data import load_dataset_module

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Load `spec["name"]` from `spec["root"]`; raises DataFileError when a file is missing or damaged."""
    module = load_dataset_module(spec["name"])
    # The split is fixed by the dataset, not by the experiment's seed, so that every seed is tested on the same images.
    dataset = module.load(Path(spec["root"]) if spec["root"] else None, 0, **spec["args"])
    splits = dataset.splits()
    # What a network has to know, by itself: training must not hang on a byte of the test split.
    task = {"classes": list(dataset.classes), "shape": list(dataset.train.shape)}
    info = {
        "name": dataset.name,
        **task,
        "digest": dataset.digest(),
        "counts": dataset.counts(),
    }
    return {**{role: split.to_arrays() for role, split in splits.items()}, "task": task, "info": info}
