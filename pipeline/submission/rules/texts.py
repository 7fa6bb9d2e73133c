"""From evidence that anybody may have written back to what was seen of texts that were continued (scenario generate).

Nothing is computed here; other forms are refused with ValueError, which says what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.generation import CACHES, PARITY_KEYS, REFERENCE, VARIANTS
from pipeline.measure.job import ARMS
from pipeline.submission.evidence import Evidence

__all__ = ["check_texts", "parity_of", "times_of"]

_MOST_TOKENS = 2**16  # of a text, as the experiment's schema has it
_MOST_TEXTS = 1_000
_NAMES = [f"{model}-{cache}" for model, cache in VARIANTS]
_MOST_LETTERS = 2_000
_MOST_ROUNDS = 20_000  # of a process, as of rows; `pipeline.measure.generating` takes no more


def check_texts(question: Mapping[str, Any]) -> None:
    """Raise ValueError unless a question of the scenario generate is about texts."""
    prompt, new, batch = (question[name] for name in ("prompt_tokens", "new_tokens", "batch_size"))
    if not all(isinstance(count, int) and 1 <= count <= _MOST_TOKENS for count in (prompt, new, batch)) or new < 2:
        raise ValueError("has a question about no text")
    if question["kv_cache"] not in list(CACHES) or question["samples_per_query"] != batch * (new - 1):
        raise ValueError("has a question about another number of tokens than the texts have")


def parity_of(index: int, evidence: Evidence, new_tokens: int) -> dict[str, Any]:
    """Return what every variant answered in comparison number `index`, as `pipeline.measure.generation` takes it."""
    found = evidence.conditions[index].get("generate")
    if not isinstance(found, dict) or set(found) != {"texts", "largest_logit", "variants"}:
        raise ValueError("has no record of what the models answered")
    texts, variants = found["texts"], found["variants"]
    if not isinstance(texts, int) or not 1 <= texts <= _MOST_TEXTS or not _is_size(found["largest_logit"]):
        raise ValueError("has no texts, or no largest score of them")
    if not isinstance(variants, dict) or sorted(variants) != sorted(_NAMES):
        raise ValueError("has not the variants: each model with each kind of cache")
    for name, one in variants.items():
        if not _is_variant(one):
            raise ValueError(f"has the variant {name} wrong")
    count = texts * new_tokens
    reference = _list(evidence, f"{index}.parity.reference", np.int32, 0, count)
    if not np.array_equal(reference, _list(evidence, f"{index}.parity.{REFERENCE}.greedy", np.int32, 0, count)):
        raise ValueError(f"has a reference of other texts than those of {REFERENCE}, whose texts it is")
    return {
        "reference": reference,
        "texts": texts,
        "largest_logit": found["largest_logit"],
        "variants": {
            name: {
                **{key: variants[name][key] for key in PARITY_KEYS},
                **{
                    kind: _list(evidence, f"{index}.parity.{name}.{kind}", np.int32, 0, count)
                    for kind in ("greedy", "forced")
                },
            }
            for name in _NAMES
        },
    }


def times_of(index: int, number: int, rows: int, evidence: Evidence, parity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the times of process `number` that are not among the arms' samples; it has so many rows of those."""
    first = [_list(evidence, f"{index}.{arm}.{number}.ttft_ns", np.int64, 1, rows) for arm in ARMS]
    timed = {}
    rounds = None
    for name in _NAMES:
        if parity["variants"][name]["skipped"]:
            continue
        ttft = _list(evidence, f"{index}.{name}.{number}.ttft_ns", np.int64, 1, rounds)
        rounds = len(ttft)
        if rounds > _MOST_ROUNDS:
            raise ValueError(f"has {rounds} rounds of process {number}, at most {_MOST_ROUNDS} are allowed")
        decode = _list(evidence, f"{index}.{name}.{number}.decode_ns", np.int64, 1, rounds)
        timed[name] = {"ttft_ns": ttft, "decode_ns": decode}
    return {"ttft_ns": np.stack(first, axis=1), "variants": timed}


def _list(
    evidence: Evidence, name: str, dtype: type[np.signedinteger[Any]], least: int, count: int | None
) -> NDArray[Any]:
    found = evidence.samples.get(name)
    if found is None or found.ndim != 1 or found.dtype != dtype or not len(found):
        raise ValueError(f"has no list of whole numbers {name!r}")
    if count is not None and len(found) != count:
        raise ValueError(f"has {len(found)} numbers in {name!r}, not {count}")
    if found.min() < least:
        raise ValueError(f"has a number below {least} in {name!r}")
    return found


def _is_variant(one: Any) -> bool:
    if not isinstance(one, dict) or set(one) != set(PARITY_KEYS):
        return False
    texts = all(one[key] is None or _is_text(one[key]) for key in ("reference_reason", "skipped"))
    is_counted = isinstance(one["cache_bytes"], int) and 0 <= one["cache_bytes"] < 2**53
    return texts and _is_text(one["computed_by"]) and is_counted and _is_size(one["largest_difference"])


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _MOST_LETTERS


def _is_size(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2.0**53
