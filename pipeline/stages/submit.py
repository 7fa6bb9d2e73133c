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
    """Return the versions behind the figures; what executes the models is NumPy with the BLAS that was timed."""
    blas = ", ".join(candidate.benchmark["machine"]["blas"])
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": version("scipy"),
        "package": __version__,
        "kernels": f"numpy ({blas or 'unknown BLAS'})",
    }
