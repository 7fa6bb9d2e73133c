"""The process in which a piece of work is done in two frameworks: `python -m pipeline.measure.framework_worker JOB`.

As pipeline.measure.worker, but it also imports PyTorch where the job asks for it, so that both take turns within one
process. Jobs name no models: what is computed is made from the op, its arguments and a seed.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure import machine
from pipeline.measure.balance import measure_balance
from pipeline.measure.clock import measure_clock, wall_ns
from pipeline.measure.framework_cases import Call, Case, Decoding, Inference, Training, make_case
from pipeline.measure.framework_torch import CALLED, NoInt8, torch_call, torch_context
from pipeline.measure.harness import Arm, Recording, record
from pipeline.measure.job import Job
from pipeline.measure.model import AnswersDiffer
from pipeline.measure.planned import session_record
from pipeline.measure.worker import Result, WorkerProblem, recording_json, serve
from tinytorch.core.function import no_grad
from tinytorch.kernels import native

__all__ = ["ARMS", "KINDS", "main"]

# Our arms: the control is a second copy of ours, which says how far identical code differs.
ARMS = ("tinytorch", "control")

_COPIES_BYTES = 64 * 2**20  # all copies of all arms together, at least one of each
_MOST_COPIES = 4
_SPENT_NS = 100_000_000  # on finding the speed of integer products
_INTEGERS = {"inputs": 512, "outputs": 512, "bits": 8, "batch_size": 512}  # fits a cache, as the float32 product does
_SAME = 1e-4  # of the largest output: a timed answer against the same call again


def main(arguments: Sequence[str]) -> int:
    """Do the job of the file named by the only argument; return the exit code."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of NumPy, about how PyTorch's tensors become arrays
    return serve(KINDS, arguments, contextlib.nullcontext)


def _check(job: Job) -> Result:
    """Give both frameworks the same queries in the same order, compare the answers, and measure what bounds the work.

    The rest of a record that does not change from process to process is found here, too: kernels, bytes, operations.
    """
    case = _case(job)
    numbers = range(_count(case))
    result: Result = {"called": {"tinytorch": case.called}, "outputs": None, "reason": None, "sessions": {}}
    with _modes(job, case):
        if isinstance(case, Inference):
            session = case.session(job.threads)
            result["sessions"] = {"tinytorch": session_record(session)}
            job = replace(job, choices={"tinytorch": {layer.name: layer.kernel for layer in session.layers}})
        ours = _answers(_load(job, case, "tinytorch"), numbers)
        if job.options["torch"]:
            result["called"]["torch"] = CALLED[type(case)]
            try:
                result["outputs"] = _compared(_answers(_load(job, case, "torch"), numbers), ours)
            except NoInt8 as error:
                result["reason"] = str(error)
    work = case.work
    result["work"] = asdict(work)
    with no_grad():
        result["balance"] = _balance(job, case)
    result["instruction_set"], result["reference_reason"] = native.isa() or "reference", native.why_not() or None
    return result


def _time(job: Job) -> Result:
    """Time ours, a second copy of ours, and the peer against each other."""
    case = _case(job)
    names = [*ARMS, *(["torch"] if job.options["timed"] else [])]
    copies: dict[str, list[Call]] = {name: [] for name in names}
    rng = np.random.default_rng(job.seed)
    with _modes(job, case):
        for _ in range(_copies(case, len(names))):
            for name in rng.permutation(names).tolist():  # no arm always gets the better place in memory
                copies[name].append(_load(job, case, name))
        clock = measure_clock()
        arms = [Arm(name, calls) for name, calls in copies.items()]
        numbers: list[Any] = list(range(_count(case)))
        recording = record(arms, numbers, clock, job.phases, job.seed)
        _check_timed(case, copies, recording)
    return {"clock": clock.to_json(), "is_cpu_time_fine": clock.is_cpu_time_fine, **recording_json(recording)}


def _case(job: Job) -> Case:
    """Return the job's case, and end this process after a time, saying on stderr where it was."""
    faulthandler.dump_traceback_later(job.options["limit_s"], exit=True)
    return make_case(job.options["op"], job.options["args"], job.options["seed"])


def _count(case: Case) -> int:
    return len(case.positions) if isinstance(case, Decoding) else len(case.queries)


@contextlib.contextmanager
def _modes(job: Job, case: Case) -> Any:
    """Switch gradients off in both frameworks unless something is trained."""
    with contextlib.ExitStack() as stack:
        if not isinstance(case, Training):
            stack.enter_context(no_grad())
        if job.options["torch"]:
            stack.enter_context(torch_context(case))
        yield


def _load(job: Job, case: Case, arm: str) -> Call:
    return torch_call(case, job.threads) if arm == "torch" else case.ours(job.threads, job.choices.get("tinytorch"))


def _answers(call: Call, numbers: Sequence[int]) -> NDArray[np.float64]:
    return np.array([np.array(call(number), np.float64).ravel() for number in numbers])


def _compared(found: NDArray[np.float64], expected: NDArray[np.float64]) -> dict[str, Any]:
    """Return how far the peer's answers are from ours; a difference that is not finite is None."""
    off = float(np.abs(found - expected).max(initial=0)) if found.shape == expected.shape else float("inf")
    largest = float(np.abs(expected).max(initial=0))
    return {
        "calls": len(expected),
        "max_abs_difference": off if np.isfinite(off) else None,
        "largest_output": largest if np.isfinite(largest) else None,
    }


def _balance(job: Job, case: Case) -> dict[str, Any]:
    """Return what this core can do at best; for work in integers their products per second as well, by our kernels."""
    found = measure_balance(max((machine.facts()["caches"] or {"": 0}).values())).to_json()
    found["peak_int8_gops"] = None
    if not isinstance(case, Training) and case.bits == 8:
        fastest = make_case("linear", _INTEGERS, 0)
        call = fastest.ours(job.threads, None)
        call(0)
        least, began = None, wall_ns()
        while least is None or wall_ns() - began < _SPENT_NS:
            start = wall_ns()
            call(0)
            least = min(wall_ns() - start, least or wall_ns())
        found["peak_int8_gops"] = fastest.work.operations / least
    return found


def _copies(case: Case, arms: int) -> int:
    """Return how many copies of each arm to hold; what keeps a state, and what streams from memory, has one."""
    if isinstance(case, Training | Decoding):
        return 1
    return int(np.clip(_COPIES_BYTES // (arms * max(1, case.work.working_set_bytes)), 1, _MOST_COPIES))


def _check_timed(case: Case, copies: Mapping[str, Sequence[Call]], recording: Recording) -> None:
    """Compare what timed calls returned with what they return now; a loss, which moves on, has to be finite.

    Raises AnswersDiffer.
    """
    for name, answers in zip(copies, recording.answers, strict=True):
        for number, answer in answers.items():
            if isinstance(case, Training):
                if not np.isfinite(answer).all():
                    raise WorkerProblem(f"{name}: the loss of batch {number} was not finite while it was timed")
                continue
            again = np.array(copies[name][0](number))
            allowed = _SAME * float(np.abs(again).max(initial=0))
            if answer.shape != again.shape or not np.allclose(answer, again, 0, allowed):
                raise AnswersDiffer(f"{name}: the timed output for query {number} is not what it answers otherwise")


KINDS: dict[str, Callable[[Job], Result]] = {"check": _check, "time": _time}


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # the result is written: PyTorch need not take its threads down, in whatever order
