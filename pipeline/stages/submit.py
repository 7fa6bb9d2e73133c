"""The submit stage: gather what the other stages found out about every run, choose one, and build its submission.

Nothing is measured or computed from weights here; models enter by digest and size only.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np

from pipeline.core.stage import Inputs
from pipeline.submission.build import build
from pipeline.submission.candidate import Candidate
from pipeline.submission.gather import gather
from pipeline.submission.validate import check_submission
from tinytorch import __version__

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the submission, valid by its schema; raises SubmissionInvalid, with every problem, if it is not."""
    candidates = [gather(run, inputs) for run in spec["runs"]]
    submission = build(spec, candidates, _versions(candidates[0]))
    check_submission(submission, "the submission that was built")
    return {"submission": submission}


def _versions(candidate: Candidate) -> dict[str, str]:
    """Return the versions behind the figures; `kernels` names what ran the models: native ones, or NumPy's BLAS."""
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "package": __version__,
        "kernels": _kernels(candidate.benchmark),
    }


def _kernels(benchmark: Mapping[str, Any]) -> str:
    """Return the instruction sets of all sessions that were timed; the reference is NumPy with the BLAS found."""
    blas = f"numpy ({', '.join(benchmark['machine']['blas']) or 'unknown BLAS'})"
    sessions = (arm.get("session") for found in benchmark["comparisons"] for arm in found["arms"].values())
    sets = dict.fromkeys(session["instruction_set"] for session in sessions if session) or ["reference"]
    return ", ".join(blas if name == "reference" else f"native ({name})" for name in sets)
