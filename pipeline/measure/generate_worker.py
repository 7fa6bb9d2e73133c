"""The timed process of the scenario generate: `python -m pipeline.measure.generate_worker JOB.json`, as `worker` is.

Jobs: "parity" says what every variant answers beside the uncached baseline, once per comparison; "generate" times;
"memory" finds the peak of one model that generates.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure import machine, memory
from pipeline.measure.clock import measure_clock
from pipeline.measure.generating import CACHES, MODELS, Demand, generated, time_arms, time_variants, variant
from pipeline.measure.job import ARMS, Job
from pipeline.measure.model import AnswersDiffer, copies_that_fit, is_rounded, load_model
from pipeline.measure.parity import ROUNDED_CACHE, Reading, Reference, allowed, check_tokens, read_variant, reference
from pipeline.measure.planned import fitting_cache
from pipeline.measure.worker import Result, WorkerProblem, serve
from tinytorch.core.transformers import GPT
from tinytorch.kernels import native
from tinytorch.models.language_model import LanguageModel
from tinytorch.runtime.generation import Generation
from tinytorch.serialization import clone

__all__ = ["KINDS", "main"]

Ids = NDArray[np.int32]

_MOST_COPIES = 8  # each has a cache of its own beside its weights
_PARITY_TEXTS = 4
_SETTLING = 2  # tokens
_TRIALS = 3  # before a variant is called too slow: a pause of the machine must not do that


class NoLanguageModel(WorkerProblem):
    """A stored model is none that continues texts."""


def main(arguments: Sequence[str]) -> int:
    """Do the job of the file named by the only argument; return the exit code."""
    return serve(KINDS, arguments)


def _load(job: Job, arm: str) -> LanguageModel:
    model = load_model(job.models[arm])
    if not isinstance(model, LanguageModel):
        raise NoLanguageModel(f"{arm}: found a {type(model).__name__}, expected a LanguageModel (model.arch: gpt)")
    return model


def _prompts(job: Job) -> list[Ids]:
    found: Ids = np.load(job.inputs, allow_pickle=False)
    return [np.ascontiguousarray(query) for query in found]


def _session(gpt: GPT, job: Job, prompts: Ids, cache: str, batch_size: int | None = None) -> Generation:
    length = prompts.shape[1] + int(job.options["new_tokens"])
    return Generation(gpt, batch_size or len(prompts), length, CACHES[cache], job.threads)


def _parity(job: Job) -> Result:
    """Compare all variants with the uncached baseline, token by token, and say what computes each."""
    queries, new = _prompts(job), int(job.options["new_tokens"])
    models = {name: _load(job, name) for name in MODELS}
    texts = np.concatenate(queries)[:_PARITY_TEXTS]
    truth = reference(models["baseline"].gpt, texts, new)
    limit_ns = float(job.options["longest_s"]) * 1e9
    variants: dict[str, Any] = {}
    sessions: dict[str, Any] = {}
    for name, model in models.items():
        own = truth if name == MODELS[0] else reference(model.gpt, texts, new)
        for cache in CACHES:
            session = _session(model.gpt, job, queries[0], cache)
            found = read_variant(model.gpt, cache, texts, truth, own, job.threads)
            if cache == "float32":
                _check_against_own(name, model, found, own)
            variants[variant(name, cache)] = {
                **found.to_json(),
                "computed_by": session.computed_by,
                "reference_reason": session.reason or None,
                "cache_bytes": session.cache_bytes,
                "skipped": _too_slow(session, queries[0], new, limit_ns),
            }
            if cache == job.options["kv_cache"]:
                sessions[name] = _session_record(job, name, session, len(queries[0]))
    return {"sessions": sessions, "reference": truth.tokens.ravel().tolist(), "texts": len(texts),
            "largest_logit": truth.largest, "variants": variants}  # fmt: skip


def _check_against_own(name: str, model: LanguageModel, found: Reading, own: Reference) -> None:
    """Raise AnswersDiffer unless a model that decodes with a cache gives its own uncached scores."""
    most = allowed(own.largest, is_rounded(model))
    if found.own_difference > most:
        raise AnswersDiffer(
            f"{name}: a score that was decoded with a cache differs by {found.own_difference:.3g} from that of the "
            f"same model without one; at most {most:.3g} is rounding"
        )


def _too_slow(session: Generation, prompts: Ids, new: int, limit_ns: float) -> str | None:
    """Return why a variant is not timed; None if a generation is short enough for each process to have one."""
    expected_ns = math.inf
    for _ in range(_TRIALS):
        once = generated(session, prompts, min(_SETTLING, new))
        expected_ns = min(expected_ns, once.ttft_ns + (new - 1) * max(once.decode_ns, 1))
        if expected_ns <= limit_ns:
            return None
    takes, left = f"{expected_ns / 1e9:.2g} s", f"{limit_ns / 1e9:.2g} s"
    return f"a generation takes about {takes}, and budget_s leaves each process {left}"


def _session_record(job: Job, name: str, session: Generation, batch_size: int) -> Result:
    touched = Path(job.models[name]).stat().st_size + session.cache_bytes
    is_native = not session.reason
    return {
        "instruction_set": session.computed_by if is_native else "reference",
        "reference_reason": session.reason or native.why_not() or None,
        "threads": job.threads,
        "batch_size": batch_size,
        "working_set_bytes": touched,
        "fits": fitting_cache(touched, machine.facts()["caches"]),
        "layers": [],
    }


def _generate(job: Job) -> Result:
    """Time the arms against each other, then all variants."""
    queries, demand = _prompts(job), Demand(**job.options)
    models = {arm: _load(job, arm) for arm in ARMS}
    rng = np.random.default_rng(job.seed)
    copies = []
    for _ in range(min(copies_that_fit(job.models.values()), _MOST_COPIES)):
        made = {}
        for arm in rng.permutation(list(ARMS)).tolist():  # no arm always gets the better place in memory
            made[arm] = _session(_own(models[arm]), job, queries[0], demand.kv_cache)
        copies.append([made[arm] for arm in ARMS])
    clock = measure_clock()
    np.ones((64, 64), np.float32) @ np.ones((64, 64), np.float32)  # BLAS sets itself up outside the first call
    rows = time_arms(copies, queries, demand, job.seed, ARMS.index(job.first))
    for arm, (query, tokens) in zip(ARMS, rows.last, strict=True):
        _check(arm, models[arm], queries[query], tokens, demand.kv_cache)
    sessions = {}
    for model in MODELS:
        for cache in CACHES:
            if variant(model, cache) in demand.variants:
                sessions[variant(model, cache)] = _session(models[model].gpt, job, queries[0], cache)
    timed = time_variants(sessions, queries, demand, job.seed)
    for name, (query, tokens) in timed.last.items():
        model, _, cache = name.partition("-")
        _check(name, models[model], queries[query], tokens, cache)
    return {
        "clock": clock.to_json(),
        "is_cpu_time_fine": clock.is_cpu_time_fine,
        "arms": list(ARMS),
        "copies": rows.copies,
        "loops": 1,
        "empty_ns": 0,
        "windows": rows.windows,
        "steady": rows.steady,
        "first": job.first,
        "cold_ns": rows.cold_ns,
        "order": rows.order,
        "copy": rows.copy,
        "wall_ns": rows.wall_ns,
        "cpu_ns": rows.cpu_ns,
        "tail_ns": [list(times) for times in zip(*rows.wall_ns, strict=True)],
        "generate": {"ttft_ns": rows.ttft_ns, "variants": timed.times},
    }


def _own(model: LanguageModel) -> GPT:
    copied = clone(model)
    assert isinstance(copied, LanguageModel)
    copied.eval()
    return copied.gpt


def _check(name: str, model: LanguageModel, prompts: Ids, tokens: NDArray[np.intp], cache: str) -> None:
    room = ROUNDED_CACHE if cache == "int8" else 0.0
    check_tokens(name, model.gpt, prompts, tokens, is_rounded(model), room)


def _memory(job: Job) -> Result:
    """Find the peak memory of the job's only model while it generates once."""
    (arm,) = job.models
    queries = _prompts(job)
    session = _session(_load(job, arm).gpt, job, queries[0], str(job.options["kv_cache"]))
    start = memory.reset_peak()
    generated(session, queries[0], int(job.options["new_tokens"]))
    found = memory.peak(start)
    return {"peak_rss_bytes": found.size_bytes, "how": found.how}


KINDS: Mapping[str, Callable[[Job], Result]] = {"generate": _generate, "memory": _memory, "parity": _parity}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
