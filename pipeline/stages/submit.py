"""The submit stage: gather what the other stages found out about every run, choose one, and build its submission.

Nothing is measured or computed from weights here; models enter by digest and size only.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from pipeline.core.errors import InternalError
from pipeline.core.stage import Inputs
from pipeline.submission.build import build
from pipeline.submission.candidate import Candidate, ModelResult
from pipeline.submission.validate import check_submission
from tinytorch import __version__

__all__ = ["execute"]

_SPLITS = ("validation", "test")
_ROLES = ("train", "validation", "test")


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the submission, valid by its schema; raises SubmissionInvalid, with every problem, if it is not."""
    candidates = [_candidate(spec, run, inputs) for run in spec["runs"]]
    submission = build(spec, candidates, _versions(candidates[0]))
    check_submission(submission, "the submission that was built")
    return {"submission": submission}


def _candidate(spec: Mapping[str, Any], run: Mapping[str, Any], inputs: Inputs) -> Candidate:
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
        benchmark=inputs[f"benchmark.{i}"],
        samples_digest=inputs.digest(f"samples.{i}"),
        effects=tuple(inputs[f"effect.{i}.{k}"] for k in range(len(run["steps"]))),
        profile=inputs.get(f"profile.{i}"),
        data={role: inputs.digest(f"data.{role}.{i}") for role in _ROLES},
        info=inputs[f"data.info.{i}"],
        loadgen=inputs[f"loadgen.{i}"]["records"] if f"loadgen.{i}" in inputs else (),
        peers=_peers(inputs, i),
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


def _versions(candidate: Candidate) -> dict[str, str]:
    """Return the versions behind the figures; what executes the models is NumPy with the BLAS that was timed."""
    blas = ", ".join(candidate.benchmark["machine"]["blas"])
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "package": __version__,
        "kernels": f"numpy ({blas or 'unknown BLAS'})",
    }
