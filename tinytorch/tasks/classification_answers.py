"""Ask a network for the classes of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinytorch.data.split import Split
from tinytorch.models.network import Network
from tinytorch.runtime.session import InferenceSession

__all__ = ["answers", "batch_for"]

_BATCH = 256


def batch_for(model: Network) -> int:
    """Return how many images to ask for at once."""
    return _BATCH


def answers(session: InferenceSession, split: Split) -> dict[str, NDArray[Any]]:
    """Return the predicted classes "" and the true ones "_labels", int64 (N,)."""
    batches = [slice(start, start + session.batch) for start in range(0, len(split), session.batch)]
    found = [session.run(split.images(part)).argmax(axis=1).astype(np.int64) for part in batches]
    return {"": np.concatenate(found), "_labels": split.labels}
