"""The evaluate stage: what the stored model answers, how often it is right, and what it weighs.

The model comes out of the store, so accuracy is that of the artifact itself, not of an object that was never saved. It
runs in an inference session, as it does when it is timed, with the kernels that are usual for its layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.core.stage import Inputs
from pipeline.stats.accuracy import accuracy_record
from pipeline.submission.tensors import tensor_digests
from tinytorch.models.network import Network
from tinytorch.runtime.session import InferenceSession
from tinytorch.serialization import dumps
from tinytorch.tasks import load_task

__all__ = ["execute"]

_CONFIDENCE = 0.95


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return metrics (see `schemas/`) and what the model answers on the validation and test splits.

    Of images that are labels; of texts next tokens, with the loss of each (see tinytorch.tasks).
    """
    model: Network = inputs["model"]
    splits, task = load_task("splits", spec.get("task")), load_task("answers", spec.get("task"))
    session = InferenceSession(model, batch=task.batch_for(model))
    predictions: dict[str, np.ndarray] = {}
    metrics: dict[str, Any] = {}
    for role in ("validation", "test"):
        found = task.answers(session, splits.read_split(inputs[role]))
        predictions |= {f"{role}{name}": array for name, array in found.items()}
        metrics[role] = accuracy_record(int((found[""] == found["_labels"]).sum()), len(found[""]), _CONFIDENCE)
    weight = _weight(model, session, inputs.size("model"))
    return {"metrics": {**metrics, **weight, "tensors": tensor_digests(dumps(model))}, "predictions": predictions}


def _weight(model: Network, session: InferenceSession, stored_bytes: int) -> dict[str, Any]:
    weights = [array for _, layer in model.named_layers() for array in layer.state().values()]
    weight_bytes = sum(array.nbytes for array in weights)
    parameters = model.parameter_count()
    return {
        "stored_bytes": stored_bytes,
        "parameters": parameters,
        "nonzero_parameters": model.nonzero_count(),
        "macs": model.macs(),
        "weight_bytes": weight_bytes,
        "bits_per_weight": 8 * weight_bytes / parameters,
        "working_set_bytes": sum(layer.size_bytes for layer in session.layers),
    }
