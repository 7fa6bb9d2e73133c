"""How long single queries took: the share of them within each time, of both models and of the control.

The control is a second copy of the baseline: how far its curve is from the baseline's is
by how much identical code differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Samples", "distribution", "samples_of"]

Samples = Mapping[str, NDArray[Any]]

_ARMS = (("baseline", "baseline"), ("control", "same code twice"), ("optimized", "optimized"))
# Shares from which a curve is drawn: even steps, and the tail in finer ones.
_SHARES = np.unique(np.concatenate([np.linspace(0, 1, 81), 1 - np.geomspace(0.02, 0.0005, 16)]))
_PREFIX = "samples."


def samples_of(arrays: Mapping[str, NDArray[Any]]) -> Samples:
    """Return the samples among the arrays of a file of evidence, by their names."""
    return {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}


def distribution(samples: Samples) -> list[dict[str, Any]]:
    """Return points of the curves of the first comparison: arm, time in ns, share of queries within it.

    Shares that so few queries cannot tell are left out. Empty where there are no single queries of both models.
    """
    rows = []
    for arm, name in _ARMS:
        times = _single_queries(samples, arm)
        if not len(times) and arm != "control":
            return []
        most = max(1 - 1 / max(len(times), 1), 0.5)
        shares = [share for share in _SHARES if share <= most] if len(times) else []
        found = np.quantile(times, shares) if len(times) else ()
        rows += [
            {"arm": name, "ns": float(f"{ns:.4g}"), "share": round(float(share), 5)}
            for ns, share in zip(found, shares, strict=True)
        ]
    return rows


def _single_queries(samples: Samples, arm: str) -> NDArray[np.float64]:
    """Return the times of the queries that were timed one by one, of all processes."""
    wanted = [
        array.ravel()
        for name, array in sorted(samples.items())
        if name.startswith(f"0.{arm}.") and name.endswith(".tail_ns") and array.dtype.kind in "iu"
    ]
    times = np.concatenate(wanted).astype(np.float64) if wanted else np.empty(0)
    return times[times > 0]
