"""The scenario generate, parent's side: the prompts, what the processes are asked, and what they say together. Pure.

A comparison's own times are of decoding: the tokens of a text after its first one. Here is the rest: time to first
token of each arm, and every variant (a model with a kind of cache) beside the uncached baseline, paired by round, with
what it answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.arm import location_interval
from pipeline.measure.job import ARMS
from pipeline.measure.summary import Question
from pipeline.stats.compare import Ratio, ratio

__all__ = [
    "DEFAULTS",
    "PARITY_KEYS",
    "REFERENCE",
    "VARIANTS",
    "about_the_variants",
    "draw_prompts",
    "generate_arrays",
    "generate_conditions",
    "generate_record",
    "not_counted",
    "share_s",
    "timed_options",
    "variants_timed",
    "with_generate",
]

Process = Mapping[str, Any]
Parity = Mapping[str, Any]
Ids = NDArray[np.int32]

# Of an experiment that does not say: a question and an answer of a paragraph.
DEFAULTS: dict[str, Any] = {"prompt_tokens": 32, "new_tokens": 64, "kv_cache": "float32"}
CACHES = ("none", "float32", "int8")
VARIANTS = tuple((model, cache) for model in ("baseline", "optimized") for cache in CACHES)
REFERENCE = "baseline-none"  # what all variants are compared with
PARITY_KEYS = ("computed_by", "reference_reason", "cache_bytes", "largest_difference", "skipped")

_QUERIES = 16  # batches of prompts that are rotated over
_OTHERWISE_S = 1.0  # of a process: to start, to load the models and pack their weights
_OF_ARMS = 0.6  # of the rest, for what the speed-up is of
_LEAST_S = 0.3
_SAME = 1e-5  # of the largest score: cached scores this close to uncached ones are the same


def draw_prompts(ids: Ids, batch_size: int, tokens: int, seed: int) -> Ids:
    """Return prompts (queries, batch_size, tokens) from random places of a text of ids (N,).

    Raises ValueError if the text is shorter than a prompt.
    """
    if len(ids) < tokens:
        raise ValueError(f"a text of {len(ids)} tokens has no prompt of {tokens}")
    starts = np.random.default_rng(seed).integers(0, len(ids) - tokens + 1, (_QUERIES, batch_size))
    return np.ascontiguousarray(ids[starts[..., np.newaxis] + np.arange(tokens)], dtype=np.int32)


def share_s(budget_s: float, processes: int) -> float:
    """Return the seconds that a process may spend on timing."""
    share = budget_s / processes
    return max(share - _OTHERWISE_S, share / 4, _LEAST_S)


def timed_options(new_tokens: int, kv_cache: str, budget_s: float, processes: int, parity: Parity) -> dict[str, Any]:
    """Return the options of a job of kind "generate": the fields of `pipeline.measure.generating.Demand`."""
    share = share_s(budget_s, processes)
    return {
        "new_tokens": new_tokens,
        "kv_cache": kv_cache,
        "arms_s": _OF_ARMS * share,
        "variants_s": (1 - _OF_ARMS) * share,
        "variants": variants_timed(parity),
    }


def variants_timed(parity: Parity) -> list[str]:
    """Return the names of the variants that are quick enough to be timed, in order."""
    return [f"{model}-{cache}" for model, cache in VARIANTS if not parity["variants"][f"{model}-{cache}"]["skipped"]]


def not_counted() -> dict[str, Any]:
    """Return what a record says of energy and counters in this scenario."""
    names = ("energy_j", "instructions", "cycles", "frequency_hz")
    reason = "they are not read while texts are generated"
    return {"quantities": dict.fromkeys(names), "quantity_reasons": dict.fromkeys(names, reason)}


def generate_arrays(index: int, processes: Sequence[Process], parity: Parity) -> dict[str, NDArray[Any]]:
    """Return every time and token of comparison number `index` that is not among the arms' samples, by name."""
    arrays: dict[str, NDArray[Any]] = {f"{index}.parity.reference": np.array(parity["reference"], np.int32)}
    for name, found in parity["variants"].items():
        for kind in ("greedy", "forced"):
            arrays[f"{index}.parity.{name}.{kind}"] = np.array(found[kind], np.int32)
    for number, process in enumerate(processes):
        ttft = np.array(process["generate"]["ttft_ns"], np.int64)
        for column, arm in enumerate(ARMS):
            arrays[f"{index}.{arm}.{number}.ttft_ns"] = np.ascontiguousarray(ttft[:, column])
        for name, times in process["generate"]["variants"].items():
            for what in ("ttft_ns", "decode_ns"):
                arrays[f"{index}.{name}.{number}.{what}"] = np.array(times[what], np.int64)
    return arrays


def generate_conditions(parity: Parity) -> dict[str, Any]:
    """Return what else the record is computed from, less the tokens, which are among the samples."""
    variants = {name: {key: found[key] for key in PARITY_KEYS} for name, found in parity["variants"].items()}
    return {"texts": parity["texts"], "largest_logit": parity["largest_logit"], "variants": variants}


def with_generate(
    record: Mapping[str, Any], question: Question, processes: Sequence[Process], parity: Parity
) -> dict[str, Any]:
    """Return a comparison's record with what it says of the scenario generate, and its warnings."""
    found = generate_record(question, processes, parity)
    return {**record, "generate": found, "warnings": [*about_the_variants(parity), *record["warnings"]]}


def generate_record(question: Question, processes: Sequence[Process], parity: Parity) -> dict[str, Any]:
    """Return what a comparison's record says of the scenario generate."""
    batch, prompt, new, seed = question.batch_size, question.prompt_tokens, question.new_tokens, question.seed
    assert prompt is not None
    assert new is not None
    arms = [[np.array(process["generate"]["ttft_ns"], float)[:, i] for process in processes] for i in range(len(ARMS))]
    return {
        "prompt_tokens": prompt,
        "new_tokens": new,
        "kv_cache": question.kv_cache,
        "texts": parity["texts"],
        "largest_logit": parity["largest_logit"],
        "arms": {arm: _first_token(times, batch * prompt) for arm, times in zip(ARMS, arms, strict=True)},
        "ttft_speedup": ratio(arms[0], arms[1], seed).to_json(),
        "variants": {
            f"{model}-{cache}": _variant(f"{model}-{cache}", batch, new, seed, processes, parity)
            for model, cache in VARIANTS
        },
    }


def _first_token(times: Sequence[NDArray[Any]], tokens: int) -> dict[str, Any]:
    """Describe the time to first token, and the prompts' tokens by second."""
    medians = np.array([np.median(one) for one in times])
    median, (low, high) = float(np.median(medians)), location_interval(medians)
    return {
        "n": sum(map(len, times)),
        "ttft_ns": median,
        "ttft_interval_ns": [min(low, median), max(high, median)],
        "prefill_tokens_per_s": tokens * 1e9 / median,
    }


def _variant(
    name: str, batch: int, new: int, seed: int, processes: Sequence[Process], parity: Parity
) -> dict[str, Any]:
    found = parity["variants"][name]
    about = {
        "computed_by": found["computed_by"],
        "reference_reason": found["reference_reason"],
        "cache_bytes": found["cache_bytes"],
        "parity": _parity(found, parity),
    }
    if found["skipped"]:
        times = dict.fromkeys(("n", "ttft_ns", "ttft_interval_ns", "tpot_ns", "tpot_interval_ns", "tokens_per_s"))
        return {**about, **times, "tokens_interval_per_s": None, "speedup": None, "reason": found["skipped"]}
    timed = [process["generate"]["variants"][name] for process in processes]
    first = _first_token([np.array(one["ttft_ns"], float) for one in timed], 1)
    decode = [np.array(one["decode_ns"], float) for one in timed]
    medians = np.array([np.median(one) for one in decode]) / (new - 1)
    tpot, (low, high) = float(np.median(medians)), location_interval(medians)
    low, high = min(low, tpot), max(high, tpot)
    speedup, reason = _speedup(name, decode, seed, processes, parity)
    return {
        **about,
        **{key: first[key] for key in ("n", "ttft_ns", "ttft_interval_ns")},
        "tpot_ns": tpot,
        "tpot_interval_ns": [low, high],
        "tokens_per_s": batch * 1e9 / tpot,
        "tokens_interval_per_s": [batch * 1e9 / high, batch * 1e9 / low],
        "speedup": None if speedup is None else speedup.to_json(),
        "reason": reason,
    }


def _speedup(
    name: str, decode: Sequence[NDArray[Any]], seed: int, processes: Sequence[Process], parity: Parity
) -> tuple[Ratio | None, str | None]:
    """Return how much faster a variant decodes than the uncached baseline, paired by round, or why there is none."""
    if name == REFERENCE:
        return None, "it is what the others are compared with"
    if skipped := parity["variants"][REFERENCE]["skipped"]:
        return None, f"the uncached baseline was not timed: {skipped}"
    before = [np.array(process["generate"]["variants"][REFERENCE]["decode_ns"], float) for process in processes]
    return ratio(before, decode, seed), None


def _parity(found: Mapping[str, Any], parity: Parity) -> dict[str, Any]:
    """Count equal tokens: of texts continued alone, and of the best at each position of the reference's text."""
    truth = np.array(parity["reference"])
    difference, largest = found["largest_difference"], parity["largest_logit"]
    return {
        "tokens": len(truth),
        "equal_tokens": int(np.count_nonzero(np.array(found["greedy"]) == truth)),
        "equal_choices": int(np.count_nonzero(np.array(found["forced"]) == truth)),
        "largest_difference": difference,
        "relative_difference": difference / largest if largest else 0.0,
        "is_same": bool(difference <= _SAME * max(largest, 1.0)),
    }


def about_the_variants(parity: Parity) -> list[str]:
    """Return what a reader has to know of the variants: those that were not timed, and what NumPy computes."""
    skipped = [
        f"{_words(name)} was not timed: {found['skipped']}"
        for name, found in parity["variants"].items()
        if found["skipped"]
    ]
    slow = [
        f"{_words(name)} is decoded by NumPy: {found['reference_reason']}"
        for name, found in parity["variants"].items()
        if found["reference_reason"]
    ]
    return [*skipped, *slow]


def _words(name: str) -> str:
    model, _, cache = name.partition("-")
    return f"the {model} model with {'no cache' if cache == 'none' else f'a cache of {cache}'}"
