"""From what the processes with peers read to what may be said of each peer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.harness import undisturbed
from pipeline.stats.compare import Ratio, claim_p_value, ratio, verdict
from pipeline.stats.correction import holm
from pipeline.stats.interval import median_interval, t_interval

__all__ = ["PeerTimes", "SIGNIFICANCE", "judged", "location", "raw_samples", "times_ratio"]

Process = Mapping[str, Any]
Floats = NDArray[np.float64]

SIGNIFICANCE = 0.05  # of all claims together; intervals are at 1 - SIGNIFICANCE each
_FEWEST_PAIRS = 6  # undisturbed, or half of all; with fewer a process says nothing by itself


@dataclass(frozen=True)
class PeerTimes:
    """Times of all arms of one process: ns per call and whether it ran undisturbed, both (rows, arms), and the copy.

    With several threads, or a coarse clock of CPU time, interruptions do not show and every sample counts.
    """

    arms: tuple[str, ...]
    per_call_ns: Floats
    kept: NDArray[np.bool_]
    copy: NDArray[np.int64]

    @classmethod
    def of(cls, process: Process, threads: int) -> PeerTimes:
        """Read a result of the peer worker."""
        wall = np.array(process["wall_ns"], dtype=np.int64)
        kept = undisturbed(wall, np.array(process["cpu_ns"], dtype=np.int64))
        if threads > 1 or not process["is_cpu_time_fine"]:
            kept = np.ones_like(kept)
        per_call = np.maximum(wall - process["empty_ns"], 1) / process["loops"]
        return cls(tuple(process["arms"]), per_call, kept, np.array(process["copy"], dtype=np.int64))

    def pair(self, first: str, second: str) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Return both arms' times and the copy by row: the undisturbed rows, or all if they are too few."""
        a, b = self.arms.index(first), self.arms.index(second)
        rows = self._rows(a, b) if self.has_enough(first, second) else np.ones(len(self.kept), dtype=np.bool_)
        return self.per_call_ns[rows, a], self.per_call_ns[rows, b], self.copy[rows]

    def has_enough(self, first: str, second: str) -> bool:
        """Say whether enough pairs of these arms ran undisturbed."""
        rows = self._rows(self.arms.index(first), self.arms.index(second))
        return bool(np.count_nonzero(rows) >= min(_FEWEST_PAIRS, len(rows) // 2))

    def median_ns(self, arm: str) -> float:
        """Return the median time of an arm's undisturbed calls, or of all if there are none."""
        column = self.arms.index(arm)
        rows = self.kept[:, column]
        return float(np.median(self.per_call_ns[rows, column] if rows.any() else self.per_call_ns[:, column]))

    def _rows(self, a: int, b: int) -> NDArray[np.bool_]:
        both: NDArray[np.bool_] = self.kept[:, a] & self.kept[:, b]
        return both


def times_ratio(times: Sequence[PeerTimes], first: str, second: str, seed: int) -> Ratio:
    """Return the time of one arm over that of another, paired within each process."""
    firsts, seconds, copies = zip(*(process.pair(first, second) for process in times), strict=True)
    return ratio(firsts, seconds, seed, copies)


def judged(
    times: Sequence[PeerTimes],
    questions: Sequence[tuple[str, str]],
    threshold: float,
    seed: int,
    same: tuple[str, str] = ("optimized", "control"),
) -> tuple[Ratio, bool, list[dict[str, Any]]]:
    """Answer questions (peer arm, our arm): the ratio of their times, above 1 where ours takes less, and its verdict.

    Returns the control (of the arms `same`, ours over its second copy), whether nothing may be claimed because it
    differs in earnest or too few pairs ran undisturbed, and the answers in order. Verdicts are said of ours: "faster"
    means us. A claim is kept only if Holm's adjusted p-value of exceeding the threshold is at most SIGNIFICANCE.
    """
    control = times_ratio(times, *same, seed)
    pairs = [same, *questions]
    is_unsettled = control.excludes_one and max(control.estimate, 1 / control.estimate) > 1 + threshold
    is_noisy = is_unsettled or any(not process.has_enough(*pair) for process in times for pair in pairs)
    ratios = [times_ratio(times, peer, ours, seed).widened_by(control) for peer, ours in questions]
    words = [verdict(found.interval, threshold) for found in ratios]
    claims = [word in ("faster", "slower") for word in words]
    values = [
        claim_p_value(r.per_process, threshold) if is_claim else 1.0 for r, is_claim in zip(ratios, claims, strict=True)
    ]
    answers = []
    for found, word, is_claim, adjusted in zip(ratios, words, claims, holm(values), strict=True):
        kept = "inconclusive" if is_claim and adjusted > SIGNIFICANCE else word
        answers.append(
            {
                "ratio": found.to_json(),
                "verdict": "noisy" if is_noisy else kept,
                "adjusted_p_value": adjusted if is_claim else None,
            }
        )
    return control, is_noisy, answers


def location(times: Sequence[PeerTimes], arm: str) -> dict[str, Any]:
    """Return how many samples of an arm count, their median (the median over processes), and its 95 % interval."""
    medians = np.array([process.median_ns(arm) for process in times])
    interval = median_interval(medians)
    if interval is None:
        low, high = np.exp(t_interval(np.log(medians)))
        interval = float(low), float(high)
    column = times[0].arms.index(arm)
    return {
        "n": int(sum(np.count_nonzero(process.kept[:, column]) for process in times)),
        "median_ns": float(np.median(medians)),
        "interval_ns": list(interval),
    }


def raw_samples(processes: Sequence[Process]) -> dict[str, NDArray[Any]]:
    """Return every sample by name: "PROCESS.wall_ns" and "PROCESS.cpu_ns" (rows, arms), "PROCESS.order", "….copy"."""
    kinds = {"wall_ns": np.int64, "cpu_ns": np.int64, "order": np.int8, "copy": np.int8}
    return {
        f"{number}.{name}": np.array(process[name], dtype=kind)
        for number, process in enumerate(processes)
        for name, kind in kinds.items()
    }
