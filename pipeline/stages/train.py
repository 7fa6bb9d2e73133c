"""The train stage: build the declared network and fit the fp32 baseline."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import StageFailed
from pipeline.core.stage import Inputs
from tinytorch.core.watching import watched
from tinytorch.kernels.calls import using_threads
from tinytorch.models import STORED, load_model_module, load_weights_module
from tinytorch.models.network import Network
from tinytorch.tasks import load_task
from tinytorch.tasks.study import train_and_look

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Train `spec["arch"]` under `spec["seed"]`: the same seed, data and settings give the same bytes.

    How far it came is kept in `inputs.scratch`.
    """
    read_split = load_task("splits", spec.get("task")).read_split
    train, validation = (read_split(inputs[role]) for role in ("train", "validation"))
    learner = load_task("training", spec.get("task"))
    with watched(inputs.scratch, inputs.say), using_threads(inputs.threads):
        model, history = train_and_look(
            learner, lambda: _built(spec, inputs["task"]), (train, validation), spec["fit"], spec["seed"]
        )
    return {"model": model, "history": history}


def _built(spec: Mapping[str, Any], task: Mapping[str, Any]) -> Network:
    """Return the network that training begins with; raises StageFailed if its file of weights was edited meanwhile."""
    shape, classes = tuple(task["shape"]), len(task["classes"])
    if "weights" not in spec:
        return _random(spec, shape, classes)
    path = Path(spec["file"])
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != spec["weights"]["digest"]:
            raise StageFailed(f"{path} was edited during this run; run again")
    reader = load_weights_module()
    if spec["arch"] == STORED:
        network: Network = reader.stored_network(path, shape, classes)
        return network
    model = _random(spec, shape, classes)
    reader.load_weights(model, path, layout=spec["weights"]["layout"])
    return model


def _random(spec: Mapping[str, Any], shape: tuple[int, ...], classes: int) -> Network:
    build = load_model_module(spec["arch"]).build
    network: Network = build(shape, classes, np.random.default_rng(spec["seed"]), **spec["args"])
    return network
