"""From what the stages hand over to candidates: decode, and refuse what disagrees.

Models enter by digest and size only. A judge gets no measurements where no goal needs one; its candidates then have an
empty benchmark, which nothing may read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.core.errors import InternalError
from pipeline.core.stage import Inputs
from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.evidence import SIDES
from pipeline.submission.language import language_section

__all__ = ["gather"]

_SPLITS = ("validation", "test")
_ROLES = ("train", "validation", "test")


def gather(run: Mapping[str, Any], inputs: Inputs) -> Candidate:
    """Return all that was found out about a run of a spec; raises InternalError where its parts contradict each other.

    The roles of its inputs end in the run's `index`.
    """
    i = run["index"]
    return Candidate(
        index=i,
        label=run["label"],
        seed=run["seed"],
        point=run["point"],
        arch=run["arch"],
        steps=tuple(run["steps"]),
        baseline=_model(inputs, "baseline", i),
        optimized=_model(inputs, "optimized", i),
        benchmark=inputs.get(f"benchmark.{i}", {}),
        samples_digest=inputs.digest(f"samples.{i}") if f"samples.{i}" in inputs else "",
        effects=tuple(inputs[f"effect.{i}.{k}"] for k in range(len(run["steps"]))),
        profile=inputs.get(f"profile.{i}"),
        data={role: inputs.digest(f"data.{role}.{i}") for role in _ROLES},
        info=inputs[f"data.info.{i}"],
        loadgen=inputs[f"loadgen.{i}"]["records"] if f"loadgen.{i}" in inputs else (),
        peers=_peers(inputs, i),
        language=language_section({side: inputs[f"predictions.{side}.{i}"] for side in SIDES}),
    )


def _peers(inputs: Inputs, i: int) -> dict[str, Any] | None:
    """Return what was measured of other runtimes, with the digest of its raw samples; None if nothing was asked."""
    if f"peers.{i}" not in inputs:
        return None
    return {**inputs[f"peers.{i}"], "samples": inputs.digest(f"peers.samples.{i}")}


def _model(inputs: Inputs, side: str, i: int) -> ModelResult:
    metrics, size = inputs[f"metrics.{side}.{i}"], inputs.size(f"{side}.{i}")
    if metrics["stored_bytes"] != size:
        raise InternalError(f"{side} model of run {i} has {size} bytes, its metrics say {metrics['stored_bytes']}")
    predictions = inputs[f"predictions.{side}.{i}"]
    correct = {split: np.equal(predictions[split], predictions[f"{split}_labels"]) for split in _SPLITS}
    for split in _SPLITS:
        if int(correct[split].sum()) != metrics[split]["correct"]:
            raise InternalError(f"{side} predictions of run {i} on the {split} split disagree with its accuracy")
    return ModelResult(inputs.digest(f"{side}.{i}"), inputs.digest(f"predictions.{side}.{i}"), metrics, correct)
