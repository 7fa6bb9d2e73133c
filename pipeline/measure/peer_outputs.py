"""Whether a peer computes what our network computes: figures, and the limits they are held to. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LIMITS", "compare_outputs"]

Outputs = NDArray[np.float32]

# precision -> the largest difference, relative to the largest output, and the least share of equal answers.
# fp32: other orders of summation, and batch norms folded into weights, move float32 results by some 1e-6 (measured:
# 4e-7 for mlp, cnn and resnet), a hundredth of what is allowed; answers may differ in ties only. int8: inputs are
# rounded with a calibrated scale instead of one for each sample, which moves outputs by 0.4 to 3 % of the largest and
# answers where two outputs nearly tie (measured on the digits: 97.5 to 100 % agree). A wrong scale, sign or axis
# leaves neither figure anywhere near.
LIMITS = {"fp32": (1e-4, 0.99), "int8": (0.10, 0.95)}


def compare_outputs(found: Outputs, expected: Outputs, precision: str) -> dict[str, Any]:
    """Compare a peer's outputs (N, ...) with ours on the same samples; "same" says whether both limits are kept.

    A difference that is not finite is None, and never the same.
    """
    allowed, least = LIMITS[precision]
    is_shaped = found.shape == expected.shape
    difference = float(np.abs(found - expected).max(initial=0)) if is_shaped else float("inf")
    largest = float(np.abs(expected).max(initial=0))
    answers = [outputs.reshape(len(outputs), -1).argmax(axis=1) for outputs in (found, expected)]
    agreement = float(np.mean(answers[0] == answers[1])) if is_shaped else 0.0
    return {
        "samples": len(expected),
        "max_abs_difference": difference if np.isfinite(difference) else None,
        "largest_output": largest,
        "top1_agreement": agreement,
        "allowed_difference": allowed,
        "least_agreement": least,
        "same": bool(difference <= allowed * largest and agreement >= least),
    }
