"""From what the processes of a framework comparison read to its record: how long each takes, what bounds it. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.measure.circumstances import MOST_UNSEEN, about_the_machine, unseen_share
from pipeline.measure.peer_summary import PeerTimes, judged, location
from pipeline.measure.summary import Question
from pipeline.stats.compare import Ratio

__all__ = ["LIMITS", "best_balance", "bound_by", "bounds", "difference", "is_answered", "record"]

Processes = Sequence[Mapping[str, Any]]

_SAME = ("tinytorch", "control")
_ASKED = [("torch", "tinytorch")]

# Kind of work -> the largest difference of outputs, relative to the largest output. float32: other orders of summation
# (measured: 1e-6). int8: both round weights to 255 steps and inputs with one scale a call or a sample (measured: 2 to
# 5 % of the largest output). Training: losses of eight steps of Adam, which enlarges what rounding left (1e-6).
LIMITS = {"fp32": 1e-4, "int8": 0.10, "training": 1e-3}

# Time this many times what either limit allows is explained by neither: calls, allocation, or a kernel that uses
# little of the machine.
_FAR = 4.0


def difference(outputs: Mapping[str, Any], kind: str) -> str | None:
    """Return in words how outputs differ by more than the limit of a kind of work, None where they do not."""
    off, largest, allowed = outputs["max_abs_difference"], outputs["largest_output"], LIMITS[kind]
    if off is not None and largest is not None and off <= allowed * largest:
        return None
    found, of = ("infinity or NaN" if value is None else f"{value:.3g}" for value in (off, largest))
    return f"outputs differ by up to {found} where the largest output is {of} (allowed: {allowed:.2%} of it)"


def is_answered(question: Question, is_timed: bool, processes: Processes) -> bool:
    """Say whether the ratio is known within the target, and the control is settled."""
    control, is_noisy, answer = _judged(question, is_timed, processes)
    if is_noisy or answer is None:
        return not is_noisy and control.half_width <= question.target_ci
    low, high = answer["ratio"]["interval"]
    return math.log(high / low) / 2 <= question.target_ci


def record(
    question: Question,
    checked: Mapping[str, Any],
    kind: str,
    processes: Processes,
    busy: Sequence[float | None],
    waited_s: float,
) -> dict[str, Any]:
    """Return the record of one piece of work; `checked` is what the first process found, `kind` a key of LIMITS.

    `frameworks` has each side's time of a call and what bounds it; without a peer `ratio` is None, `reason` says why.
    """
    is_timed = checked["reason"] is None
    control, is_noisy, answer = _judged(question, is_timed, processes)
    times = [PeerTimes.of(process, question.threads) for process in processes]
    limits = bounds(checked["work"], checked["balance"], is_integer=kind == "int8")
    sides = {}
    for name in ("tinytorch", *(["torch"] if is_timed else [])):
        place = location(times, name)
        sides[name] = {"called": checked["called"][name], **place, **bound_by(place["median_ns"], limits)}
    found = answer["ratio"] if answer else None
    return {
        "frameworks": sides,
        "ratio": found,
        "reason": checked["reason"],
        "outputs": checked["outputs"] and {**checked["outputs"], "allowed_difference": LIMITS[kind]},
        "control": control.to_json(),
        "noisy": is_noisy,
        "work": checked["work"],
        "limits": limits,
        "balance": checked["balance"],
        "kernels": {
            layer["name"]: layer["computed_by"] for one in checked["sessions"].values() for layer in one["layers"]
        },
        "instruction_set": checked["instruction_set"],
        "reference_reason": checked["reference_reason"],
        "processes": len(processes),
        "copies": min(process["copies"] for process in processes),
        "loops": min(process["loops"] for process in processes),
        "warnings": _warnings(question, processes, busy, waited_s, control, is_noisy=is_noisy),
    }


def bounds(work: Mapping[str, Any], balance: Mapping[str, Any], *, is_integer: bool) -> dict[str, Any]:
    """Return the least time that arithmetic and memory allow, in ns: the roofline [Williams et al., 2009].

    Data come from where all that a call touches has room: the bandwidth is that of a working set of this size.
    """
    peak = balance["peak_int8_gops"] if is_integer else balance["peak_gflops"]
    moved, sizes = work["moved_bytes"], balance["gbps_by_working_set"]
    fitting = (one["gbps"] for one in sizes if work["working_set_bytes"] <= one["bytes"])
    gbps = next(fitting, balance["peak_gbps"])
    return {
        "compute_ns": work["operations"] / peak,
        "memory_ns": moved / gbps,
        "peak_gops": peak,
        "gbps": gbps,
        "operations_per_byte": work["operations"] / max(moved, 1),
    }


def best_balance(balances: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the best that any of some processes on the same machine measured: what disturbs one makes it less."""
    integers = [one["peak_int8_gops"] for one in balances if one["peak_int8_gops"]]
    by_size: dict[int, float] = {}
    for one in (one for balance in balances for one in balance["gbps_by_working_set"]):
        by_size[one["bytes"]] = max(one["gbps"], by_size.get(one["bytes"], 0.0))
    return {
        **balances[0],
        "peak_gflops": max(one["peak_gflops"] for one in balances),
        "peak_gbps": max(one["peak_gbps"] for one in balances),
        "gbps_by_working_set": [{"bytes": size, "gbps": gbps} for size, gbps in sorted(by_size.items())],
        "peak_int8_gops": max(integers, default=None),
    }


def bound_by(time_ns: float, limits: Mapping[str, Any]) -> dict[str, Any]:
    """Say what bounds a side: the slower of "compute" and "memory", or "overhead" if neither explains its time."""
    compute, memory = limits["compute_ns"], limits["memory_ns"]
    least = max(compute, memory)
    word = "overhead" if time_ns > _FAR * least else "compute" if compute >= memory else "memory"
    return {"bound": word, "share_of_limit": least / time_ns}


def _judged(question: Question, is_timed: bool, processes: Processes) -> tuple[Ratio, bool, Mapping[str, Any] | None]:
    times = [PeerTimes.of(process, question.threads) for process in processes]
    asked = _ASKED if is_timed else []
    control, is_noisy, answers = judged(times, asked, question.threshold, question.seed, _SAME)
    if _unseen(question, processes) > MOST_UNSEEN:
        is_noisy, answers = True, [{**answer, "verdict": "noisy"} for answer in answers]
    return control, is_noisy, answers[0] if answers else None


def _unseen(question: Question, processes: Processes) -> float:
    return unseen_share(processes, question.threads == 1 and bool(processes[0]["is_cpu_time_fine"]))


def _warnings(
    question: Question,
    processes: Processes,
    busy: Sequence[float | None],
    waited_s: float,
    control: Ratio,
    *,
    is_noisy: bool,
) -> list[str]:
    count, unseen = len(processes), _unseen(question, processes)
    restless = sum(not process["steady"] for process in processes)
    found = {
        f"identical code differed by {abs(control.estimate - 1):.1%}, or too little ran undisturbed: nothing can be "
        "claimed": is_noisy,
        f"the budget of {question.budget_s:g} s was spent after {count} of {question.processes} processes": (
            count < question.processes
        ),
        f"in {restless} of {count} processes times were still changing when the warm-up ended": restless > 0,
    }
    said = [text for text, is_so in found.items() if is_so]
    return [*said, *about_the_machine(processes, busy, question.threads, waited_s, unseen)]
