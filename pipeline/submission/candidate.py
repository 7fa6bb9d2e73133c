"""What a submission is chosen from and made of: all that the stages found out about one run, as one value.

Leaves out how it is compared (`compare`), judged (`goals`), chosen (`select`) and written down (`build`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Candidate", "ModelResult"]


@dataclass(frozen=True)
class ModelResult:
    """One stored model: digests of its weights and of its predictions, and what was measured of it.

    `correct` tells for each item of the splits "validation" and "test" whether the prediction is right, bool (N,).
    """

    weights_digest: str
    predictions_digest: str
    metrics: Mapping[str, Any]
    correct: Mapping[str, NDArray[np.bool_]]

    @property
    def stored_bytes(self) -> int:
        """The size of the stored artifact."""
        return int(self.metrics["stored_bytes"])

    def accuracy(self, split: str) -> Mapping[str, Any]:
        """Return the record of accuracy, counts and Wilson interval on a split."""
        record: Mapping[str, Any] = self.metrics[split]
        return record


@dataclass(frozen=True)
class Candidate:
    """One run: a point of the sweep under one seed, its baseline, its optimized model and their benchmark.

    `data` maps train, validation and test to the digests of their contents; `profile` is None where none was made;
    `loadgen` and `peers` have what MLPerf's LoadGen and other runtimes came to, where they were asked for; `language`
    has the perplexities of language models, None for classifiers.
    """

    index: int
    label: str
    seed: int
    point: Mapping[str, Any]
    arch: str
    steps: tuple[Mapping[str, Any], ...]
    baseline: ModelResult
    optimized: ModelResult
    benchmark: Mapping[str, Any]
    samples_digest: str
    effects: tuple[Mapping[str, Any], ...]
    profile: Mapping[str, Any] | None
    data: Mapping[str, str]
    info: Mapping[str, Any]
    loadgen: Sequence[Mapping[str, Any]] = ()
    peers: Mapping[str, Any] | None = None
    language: Mapping[str, Any] | None = None

    @property
    def speed(self) -> Mapping[str, Any]:
        """The primary comparison: that of the first batch size and thread count of the experiment."""
        record: Mapping[str, Any] = self.benchmark["comparisons"][0]
        return record

    @property
    def calls_per_query(self) -> int:
        """In how many calls the primary comparison works a query off."""
        return -(-int(self.speed["samples_per_query"]) // int(self.speed["batch_size"]))

    @property
    def compression_ratio(self) -> float:
        """Stored bytes of the baseline over those of the optimized model."""
        return self.baseline.stored_bytes / self.optimized.stored_bytes

    @property
    def is_simulated(self) -> bool:
        """Whether a step's saving is not executed: its masks are multiplied like any other weight."""
        return any(effect["simulated"] for effect in self.effects)

    @property
    def executes_less(self) -> bool:
        """Whether a step that is not simulated changed what is executed: shapes, work or the width of weights."""
        return any(_executes_less(effect) for effect in self.effects if not effect["simulated"])


def _executes_less(effect: Mapping[str, Any]) -> bool:
    changed = any(effect[f"{name}_before"] != effect[f"{name}_after"] for name in ("parameters", "macs"))
    return changed or any(layer["bits_before"] != layer["bits_after"] for layer in effect["layers"])
