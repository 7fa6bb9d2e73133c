"""The submit stage: gather what the other stages found out about every run, choose one, and build its submission.

Nothing is measured or computed from weights here; models enter by digest and size only.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.core.stage import Inputs
from pipeline.submission.build import build
from pipeline.submission.candidate import Candidate
from pipeline.submission.custom_metrics import custom_metrics
from pipeline.submission.evidence import MAX_BYTES, SIDES, Evidence, packed, reference_to
from pipeline.submission.gather import gather
from pipeline.submission.journey import accuracies_after, training_curves
from pipeline.submission.validate import check_submission
from tinytorch import __version__

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the submission, valid by its schema, and the evidence of its figures, unless that is too large to be read.

    Raises SubmissionInvalid, with every problem, if it is not valid.
    """
    candidates = [gather(run, inputs) for run in spec["runs"]]
    built = build(spec, candidates, _versions(candidates[0]))
    chosen = built["selection"]["chosen"]
    built |= _journey(built, spec, inputs)
    if spec.get("custom_metrics"):
        predictions = {side: inputs[f"predictions.{side}.{chosen}"] for side in SIDES}
        built["custom_metrics"] = custom_metrics(spec["custom_metrics"], predictions)
    arrays = packed(_evidence(chosen, inputs))
    reference = reference_to(arrays)
    submission = {**built, "evidence": reference} if reference["size_bytes"] <= MAX_BYTES else built
    check_submission(submission, "the submission that was built")
    return {"submission": submission, "evidence": arrays}


def _evidence(chosen: int, inputs: Inputs) -> Evidence:
    """Return what the figures of the chosen point were computed from."""
    predictions = {side: inputs[f"predictions.{side}.{chosen}"] for side in SIDES}
    return Evidence(inputs[f"samples.{chosen}"], predictions, inputs[f"benchmark.{chosen}"]["conditions"])


def _journey(built: Mapping[str, Any], spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the effects with the accuracy after each step, and what was learned in training."""
    chosen = built["selection"]["chosen"]
    steps = next(run["steps"] for run in spec["runs"] if run["index"] == chosen)
    accuracies = accuracies_after(chosen, steps, inputs)
    effects = [{**effect, "accuracy": found} for effect, found in zip(built["effects"], accuracies, strict=True)]
    return {"effects": effects, "training": training_curves(chosen, steps, inputs)}


def _versions(candidate: Candidate) -> dict[str, str]:
    """Return the versions behind the figures; `kernels` names what ran the models: native ones, or NumPy's BLAS."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "package": __version__,
        "kernels": _kernels(candidate.benchmark),
    }


def _kernels(benchmark: Mapping[str, Any]) -> str:
    """Return the instruction sets of all sessions that were timed; the reference is NumPy with the BLAS found."""
    blas = f"numpy ({', '.join(benchmark['machine']['blas']) or 'unknown BLAS'})"
    sessions = (arm.get("session") for found in benchmark["comparisons"] for arm in found["arms"].values())
    sets = dict.fromkeys(session["instruction_set"] for session in sessions if session) or ["reference"]
    return ", ".join(blas if name == "reference" else f"native ({name})" for name in sets)
