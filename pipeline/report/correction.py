"""What Holm's correction made of a sweep's claims on speed, and which settings would decide more of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pipeline.stats.correction import processes_needed
from pipeline.submission.quantities import p_value_text

__all__ = ["correction_text", "why_undecided"]

Document = Mapping[str, Any]
_PROCESSES, _COMPARED = 64, 1_000_000  # the most that an experiment can have
_MOST = 0.9  # of the undecided points are to be decided by the processes that are advised


def why_undecided(speed: Document, edge: str) -> str:
    """Return why a comparison of its own claims something, and not among the others of its sweep.

    `edge` is the end of the zone without meaning that its interval is beyond, in words.
    """
    advice = _advice(_needed(speed["speedup"]["interval"], speed), speed["processes"])
    return (
        f"its own interval is {edge}, but {speed['compared']} comparisons were made, of which some look so by chance: "
        f"Holm's correction makes it {p_value_text(speed['adjusted_p_value'])}, more than 0.05; {advice}"
    )


def correction_text(submission: Document) -> str:
    """Return how many points are inconclusive by the correction alone, and what decides them; "" for none."""
    speed, points = submission["comparisons"]["speed"], submission["selection"]["points"]
    undecided = [
        point for point in points if point["verdict"] == "inconclusive" and point["adjusted_p_value"] is not None
    ]
    if not undecided:
        return ""
    found = sorted(_needed(point["speedup"]["interval"], speed) or math.inf for point in undecided)
    most = found[math.ceil(_MOST * len(found)) - 1]
    number = f"{len(undecided)} of {len(points)} points"
    return (
        f"{number} {'is' if len(undecided) == 1 else 'are'} inconclusive only because {speed['compared']} comparisons "
        f"were made at once (Holm's correction): alone, each would be faster or slower; "
        f"{_advice(None if most == math.inf else int(most), speed['processes'])}"
    )


def _needed(interval: Any, speed: Document) -> int | None:
    """Return how many processes would do, None where none would, or where a stranger's figures are beyond reason."""
    processes, compared = speed["processes"], speed["compared"]
    if not 2 <= processes <= _PROCESSES or compared > _COMPARED or not 0 < interval[0] <= interval[1] < math.inf:
        return None
    return processes_needed(interval, processes, speed["threshold"], compared)


def _advice(needed: int | None, processes: int) -> str:
    """Return what to set so that a claim holds; processes that were had and were not enough count as unlucky."""
    if needed is None:
        return f"{processes} processes differ too much to decide it here: measure on a quieter machine"
    count = max(needed, processes + 1)
    return (
        f"with {count} processes instead of {processes} that differ no more it would be decided: "
        f"benchmark.processes {count}, with a budget_s to match"
    )
