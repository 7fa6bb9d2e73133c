"""The record of a comparison with peers: what each was, what it computed, how long it took, what may be said. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.measure.circumstances import MOST_UNSEEN, about_the_machine, unseen_share
from pipeline.measure.peer_runtimes import RUNTIMES
from pipeline.measure.peer_summary import PeerTimes, judged, location
from pipeline.measure.summary import Question
from pipeline.stats.compare import Ratio

__all__ = ["Peer", "Seen", "is_answered", "record"]

Processes = Sequence[Mapping[str, Any]]

# (runtime, precision) -> why it is not timed
_NOT_RUN = {
    ("torch", "int8"): "torch executes int8 with its own quantization only (torch.ao is deprecated, torchao converts "
    "float networks itself): it cannot be given these integers and scales",
}


@dataclass(frozen=True)
class Peer:
    """One network in one runtime; `arm` is its name among the arms."""

    runtime: str
    network: str
    precision: str

    @property
    def arm(self) -> str:
        return self.runtime if self.network == "optimized" else f"{self.runtime} {self.network}"

    @property
    def reason(self) -> str | None:
        """Why it is not run at all."""
        return _NOT_RUN.get((self.runtime, self.precision))


@dataclass(frozen=True)
class Seen:
    """What was seen: results of the processes, how busy their cores were before, the seconds waited for quiet moments,
    how the outputs of each arm compare with ours, and the bytes of files by name ("optimized.onnx").
    """

    processes: Processes
    busy: Sequence[float | None]
    waited_s: float
    outputs: Mapping[str, Mapping[str, Any]]
    file_bytes: Mapping[str, int]


def is_answered(question: Question, processes: Processes, timed: Sequence[Peer]) -> bool:
    """Say whether all ratios are known within the target, and the control is settled."""
    _, is_noisy, answers = _judged(question, processes, timed)
    bounds = [answer["ratio"]["interval"] for answer in answers.values()]
    return not is_noisy and all(math.log(high / low) / 2 <= question.target_ci for low, high in bounds)


def record(
    question: Question, versions: Mapping[str, Mapping[str, str]], peers: Sequence[Peer], seen: Seen
) -> dict[str, Any]:
    """Return the record; `versions` names the packages of each runtime, with its own among them."""
    timed = [peer for peer in peers if seen.outputs.get(peer.arm, {}).get("same")]
    control, is_noisy, answers = _judged(question, seen.processes, timed)
    times = [PeerTimes.of(process, question.threads) for process in seen.processes]
    arms = {"optimized": "tinytorch", "control": "tinytorch", "baseline": "tinytorch"}
    arms |= {peer.arm: peer.runtime for peer in timed}
    return {
        "batch_size": question.batch_size,
        "threads": question.threads,
        "processes": len(seen.processes),
        "copies": min(process["copies"] for process in seen.processes),
        "loops": min(process["loops"] for process in seen.processes),
        "threshold": question.threshold,
        "runtimes": {
            runtime: {"packages": dict(packages), "called": RUNTIMES[runtime].called}
            for runtime, packages in versions.items()
        },
        "arms": {arm: {"runtime": runtime, **location(times, arm)} for arm, runtime in arms.items()},
        "control": control.to_json(),
        "noisy": is_noisy,
        "comparisons": [
            {
                **_described(peer, versions[peer.runtime][peer.runtime], seen),
                "against": ours,
                **answers.get((peer.arm, ours), {"ratio": None, "verdict": None, "adjusted_p_value": None}),
            }
            for peer, ours in _asked(peers)
        ],
        "warnings": _warnings(question, seen, control.estimate, is_noisy),
    }


def _asked(timed: Sequence[Peer]) -> list[tuple[Peer, str]]:
    """Return what is asked of each peer: against ours with the same network, and against our optimized one."""
    same = [(peer, peer.network) for peer in timed]
    return same + [(peer, "optimized") for peer in timed if peer.network != "optimized"]


def _judged(
    question: Question, processes: Processes, timed: Sequence[Peer]
) -> tuple[Ratio, bool, dict[tuple[str, str], dict[str, Any]]]:
    """Return the control, whether nothing may be claimed, and the answers by (arm, ours)."""
    times = [PeerTimes.of(process, question.threads) for process in processes]
    asked = [(peer.arm, ours) for peer, ours in _asked(timed)]
    control, is_noisy, answers = judged(times, asked, question.threshold, question.seed)
    if _unseen(question, processes) > MOST_UNSEEN:
        is_noisy, answers = True, [{**answer, "verdict": "noisy"} for answer in answers]
    return control, is_noisy, dict(zip(asked, answers, strict=True))


def _described(peer: Peer, version: str, seen: Seen) -> dict[str, Any]:
    """Return what the peer was given and what it computed."""
    reads, outputs = RUNTIMES[peer.runtime].reads, seen.outputs.get(peer.arm)
    return {
        "peer": peer.runtime,
        "version": version,
        "network": peer.network,
        "precision": peer.precision,
        "file_bytes": None if reads == "safetensors" else seen.file_bytes[f"{peer.network}.{reads}"],
        "outputs": outputs,
        "reason": peer.reason if outputs is None else _difference(outputs),
    }


def _difference(outputs: Mapping[str, Any]) -> str | None:
    """Return why outputs are not ours, None if they are."""
    if outputs["same"]:
        return None
    off = outputs["max_abs_difference"]
    return (
        f"outputs differ: by up to {'infinity or NaN' if off is None else f'{off:.3g}'} where the largest output is "
        f"{outputs['largest_output']:.3g} (allowed: {outputs['allowed_difference']:.2%} of it), "
        f"{outputs['top1_agreement']:.1%} of the answers agree (at least {outputs['least_agreement']:.0%})"
    )


def _unseen(question: Question, processes: Processes) -> float:
    return unseen_share(processes, question.threads == 1 and bool(processes[0]["is_cpu_time_fine"]))


def _warnings(question: Question, seen: Seen, control: float, is_noisy: bool) -> list[str]:
    """Return what a reader has to know of the control, the machine, and how the runtimes share it."""
    processes, count = seen.processes, len(seen.processes)
    restless = sum(not process["steady"] for process in processes)
    unseen = _unseen(question, processes)
    found = {
        f"identical code differed by {abs(control - 1):.1%}, or too little ran undisturbed: nothing can be claimed": (
            is_noisy
        ),
        f"the budget of {question.budget_s:g} s was spent after {count} of {question.processes} processes": (
            count < question.processes
        ),
        f"in {restless} of {count} processes times were still changing when the warm-up ended": restless > 0,
        "idle threads of one runtime may keep a core busy for a moment after its call, while others run": (
            question.threads > 1
        ),
    }
    said = [text for text, is_so in found.items() if is_so]
    return [*said, *about_the_machine(processes, seen.busy, question.threads, seen.waited_s, unseen)]
