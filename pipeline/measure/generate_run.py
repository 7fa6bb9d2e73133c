"""Run the processes of the scenario generate: what all variants answer, then times until they are precise enough.

Parent's side, as `sampling` is for the other scenarios.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.measure import generate_worker
from pipeline.measure.generation import draw_prompts, not_counted, share_s, timed_options
from pipeline.measure.job import ARMS
from pipeline.measure.launch import run_worker
from pipeline.measure.quiet import Patience, Place, idlest
from pipeline.measure.sampling import Collected, Material, is_precise, repeat
from pipeline.measure.summary import Question

__all__ = ["collect_generate", "read_parity", "write_prompts"]

_PARITY_S = 1_800  # at most: scores of a text without a cache are those of its whole length, for every token


def write_prompts(question: Question, ids: Any, material: Material) -> None:
    """Write the prompts of a question; raises ValueError for a text shorter than one."""
    assert question.prompt_tokens is not None
    prompts = draw_prompts(ids, question.batch_size, question.prompt_tokens, question.seed)
    np.save(material.queries, prompts, allow_pickle=False)


def read_parity(question: Question, material: Material) -> dict[str, Any]:
    """Return what every variant answers and which of them are quick enough to be timed."""
    options = {
        "new_tokens": question.new_tokens,
        "kv_cache": question.kv_cache,
        "longest_s": share_s(question.budget_s, question.processes),
    }
    place = idlest(question.threads)
    return _run(question, material, "parity", ARMS[:2], 0, _PARITY_S, place, options)


def collect_generate(
    question: Question, material: Material, parity: Mapping[str, Any], patience: Patience
) -> Collected:
    """Run worker processes until the question is answered precisely enough or its budget is spent.

    Raises WorkerFailed if a process dies or what it timed is not what the model answers.
    """
    assert question.new_tokens is not None
    assert question.kv_cache is not None
    began = time.monotonic()
    limit_s = 300 + 20 * question.budget_s  # generous: it only ends what hangs
    own = {"new_tokens": question.new_tokens, "kv_cache": question.kv_cache}
    memory = {
        arm: _run(question, material, "memory", (arm,), 0, limit_s, idlest(question.threads), own) for arm in ARMS[:2]
    }
    spent_s = time.monotonic() - began
    options = timed_options(question.new_tokens, question.kv_cache, question.budget_s, question.processes, parity)

    def run(number: int, place: Place | None) -> Mapping[str, Any]:
        return _run(question, material, "generate", ARMS, number, limit_s, place, options)

    processes, busy = repeat(question, run, functools.partial(is_precise, question), patience, spent_s)
    return Collected(processes, busy, memory, dict.fromkeys(ARMS, not_counted()), patience.waited_s)


def _run(
    question: Question,
    material: Material,
    kind: str,
    arms: Sequence[str],
    number: int,
    limit_s: float,
    place: Place | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    job = replace(material.job(question, kind, arms, number, place), batch_size=question.batch_size, options=options)
    return run_worker(job, limit_s, generate_worker)
