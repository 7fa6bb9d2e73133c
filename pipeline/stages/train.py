"""The train stage: build the declared network and fit the fp32 baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.core.stage import Inputs
from tinytorch.core.training import FitSettings, fit
from tinytorch.data.split import Split
from tinytorch.models import load_model_module

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Train `spec["arch"]` under `spec["seed"]`: the same seed, data and settings give the same bytes."""
    train = Split.from_arrays(inputs["train"])
    validation = Split.from_arrays(inputs["validation"])
    rng = np.random.default_rng(spec["seed"])
    build = load_model_module(spec["arch"]).build
    task = inputs["task"]
    model = build(tuple(task["shape"]), len(task["classes"]), rng, **spec["args"])
    history = fit(model, train, validation, FitSettings(**spec["fit"]), spec["seed"])
    return {"model": model, "history": history}
