"""Keep a training run in a file, and continue it there: weights, statistics, optimizer, generator and history.

The file is named after what the run began with, so that another run never continues it; a damaged one is said to be,
and the run begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from tinytorch.core.checkpoint import read_checkpoint, restore_arrays, training_arrays, write_checkpoint
from tinytorch.core.layer import Layer, walk
from tinytorch.core.optimizers import Optimizer

__all__ = ["KeptRun"]

_FORMAT = 1
_LOOKED_AT = 256  # images that enter the name; of a stored split the rest is fixed by the folder's own name


@dataclass(frozen=True)
class KeptRun:
    """The state of a run, and the file it is kept in: None where nobody asked for one."""

    model: Layer
    optimizer: Optimizer
    path: Path | None
    origin: str

    @classmethod
    def of(cls, folder: Path | None, model: Layer, optimizer: Optimizer, train: Any, settings: Any) -> Self:
        """Name the run by its settings (JSON values), its first weights, all labels and some images."""
        if folder is None:
            return cls(model, optimizer, None, "")
        state = hashlib.sha256(json.dumps([_FORMAT, len(train), settings], sort_keys=True).encode())
        arrays = {name: array for name, array in training_arrays(model, optimizer).items() if array is not None}
        for i, layer in enumerate(walk(model)):  # which weights are pruned, too
            arrays |= {f"state.{i}.{name}": array for name, array in layer.state().items()}
        arrays |= {"labels": np.asarray(train.labels), "images": train.images(slice(0, _LOOKED_AT))}
        for name, array in arrays.items():
            state.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            state.update(np.ascontiguousarray(array).data)
        origin = state.hexdigest()
        return cls(model, optimizer, folder / f"fit-{origin[:16]}.npz", origin)

    def save(self, rng: np.random.Generator, history: list[dict[str, Any]]) -> None:
        """Write the state after an epoch, whole or not at all."""
        if self.path is None:
            return
        arrays = {name: a for name, a in training_arrays(self.model, self.optimizer).items() if a is not None}
        facts = {
            "origin": self.origin,
            "history": history,
            "rng": rng.bit_generator.state,
            "step_count": self.optimizer.step_count,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(self.path, facts, arrays)

    def resume(self, rng: np.random.Generator, say: Callable[[str], None]) -> list[dict[str, Any]]:
        """Set everything to where the run was when it was last kept; return its history, empty for a new run."""
        if self.path is None or not self.path.exists():
            return []
        try:
            facts, arrays = read_checkpoint(self.path)
            if facts.get("origin") != self.origin:
                raise ValueError(f"{self.path}: found the state of another run, expected that of {self.origin[:16]}.")
            history: list[dict[str, Any]] = facts["history"]
            step_count = int(facts["step_count"])
            np.random.default_rng().bit_generator.state = facts["rng"]  # raises before anything is changed
            restore_arrays(self.path, arrays, self.model, self.optimizer)
        except (KeyError, OSError, TypeError, ValueError) as error:
            say(f"training begins anew: {error}")
            return []
        rng.bit_generator.state = facts["rng"]
        self.optimizer.step_count = step_count
        say(f"training continues after epoch {len(history)}, where it was interrupted")
        return history
