"""What continuing texts took, as rows and sentences: each model with each kind of cache, and what it answers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.submission.quantities import MISSING, quantity, with_interval

__all__ = ["GENERATE_HEADER", "Generating", "GeneratingRow", "generate_rows", "generating"]

Document = Mapping[str, Any]

GENERATE_HEADER = (
    "model",
    "cache",
    "tokens/s",
    "against uncached",
    "first token",
    "cache size",
    "same tokens",
    "scores within",
    "decoded by",
)
_CACHES = {"none": "no cache", "float32": "float32", "int8": "int8"}
_REFERENCE = "baseline-none"
_RESTLESS = "The machine was too restless: nothing may be claimed from these times."
_NAMES = tuple(f"{model}-{cache}" for model in ("baseline", "optimized") for cache in _CACHES)  # a file sorts them


@dataclass(frozen=True)
class GeneratingRow:
    """One model with one kind of cache, in the order of GENERATE_HEADER; `tone` is that of its speed-up."""

    texts: tuple[str, ...]
    tone: str = ""


@dataclass(frozen=True)
class Generating:
    """All rows, sentences that say what they come to, and why figures are missing, each once."""

    rows: tuple[GeneratingRow, ...] = ()
    title: str = ""
    sentences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def generating(submission: Document) -> Generating:
    """Return what the first comparison of a submission of version 2 says of generating; empty in other scenarios."""
    comparison = submission["benchmark"]["comparisons"][0]
    found = comparison.get("generate")
    if found is None:
        return Generating()
    # From a noisy comparison nothing may be claimed, and a difference within the threshold has no meaning.
    threshold = math.inf if comparison["noisy"] else comparison["threshold"]
    return Generating(
        rows=tuple(_row(name, found, threshold) for name in _NAMES),
        title=f"Texts continued by {found['new_tokens']:,} tokens, with and without a cache",
        sentences=(*([_RESTLESS] if comparison["noisy"] else _times_of(found)), *_sentences(found)),
        notes=tuple(_notes(found)),
    )


def generate_rows(submission: Document) -> list[dict[str, Any]]:
    """Return the rows of the chart: tokens per second of every variant that was timed, with the interval."""
    found = submission["benchmark"]["comparisons"][0].get("generate")
    rows = []
    for name in _NAMES if found else ():
        one = found["variants"][name]
        if one["tokens_per_s"] is not None:
            model, _, cache = name.partition("-")
            low, high = one["tokens_interval_per_s"]
            text = quantity(one["tokens_per_s"], "per_s")
            rate = {"rate": one["tokens_per_s"], "low": low, "high": high, "text": text}
            rows.append({"model": model, "cache": _CACHES[cache], **rate})
    return rows


def _row(name: str, found: Document, threshold: float) -> GeneratingRow:
    model, _, cache = name.partition("-")
    one = found["variants"][name]
    parity, speedup = one["parity"], one["speedup"]
    return GeneratingRow(
        texts=(
            model,
            cache,
            with_interval(one["tokens_per_s"], one["tokens_interval_per_s"], "per_s"),
            with_interval(speedup["estimate"], speedup["interval"], "ratio") if speedup else MISSING,
            quantity(one["ttft_ns"], "ns"),
            quantity(one["cache_bytes"], "B") if cache != "none" else MISSING,
            _share(parity["equal_tokens"], parity["tokens"]),
            "reference" if name == _REFERENCE else f"{parity['relative_difference']:.1g}",
            one["computed_by"],
        ),
        tone=_tone(speedup, threshold),
    )


def _share(part: int, whole: int) -> str:
    """Return "all of 256" or a share that is never rounded to all of them."""
    if part == whole:
        return f"all of {whole:,}"
    return f"{part:,} of {whole:,}"


def _tone(speedup: Document | None, threshold: float) -> str:
    if speedup is None:
        return ""
    low, high = speedup["interval"]
    return "good" if low > 1 + threshold else "bad" if high * (1 + threshold) < 1 else ""


def _times_of(found: Document) -> Iterator[str]:
    """Say what the first token takes, and how much faster a cache and the optimized model with one are."""
    variants = found["variants"]
    ttft = found["ttft_speedup"]
    yield (
        f"The first token of a prompt of {found['prompt_tokens']:,} comes after "
        f"{quantity(found['arms']['optimized']['ttft_ns'], 'ns')} instead of "
        f"{quantity(found['arms']['baseline']['ttft_ns'], 'ns')} "
        f"(side by side {with_interval(ttft['estimate'], ttft['interval'], 'ratio')} as fast)."
    )
    cached, best = variants["baseline-float32"], variants[f"optimized-{found['kv_cache']}"]
    if cached["speedup"]:
        ways = cached["computed_by"], variants[_REFERENCE]["computed_by"]
        alone = " alone makes" if ways[0] == ways[1] else f", decoded by {ways[0]} and not {ways[1]}, makes"
        yield f"A cache of float32{alone} the baseline {_times(cached['speedup'])} as fast as without one."
    if best["speedup"]:
        how = f"The optimized model with {_cache_of(found)}"
        yield f"{how} is {_times(best['speedup'])} as fast as the uncached baseline."


def _sentences(found: Document) -> Iterator[str]:
    """Say whether the baseline with a cache and the optimized model answer the same."""
    variants = found["variants"]
    same, answers = variants["baseline-float32"]["parity"], variants[f"optimized-{found['kv_cache']}"]["parity"]
    within = f"{same['relative_difference']:.1g} of the largest"
    if same["is_same"]:
        equal = _share(same["equal_tokens"], same["tokens"])
        yield f"With its cache the baseline says the same: {equal} tokens, no score off by more than {within}."
    else:
        yield f"With its cache the baseline's scores differ by {within}, more than rounding of float32."
    choices, alone = (_share(answers[name], answers["tokens"]) for name in ("equal_choices", "equal_tokens"))
    yield (
        f"Of the uncached baseline's tokens the optimized model chooses {choices} when given the same text, and "
        f"{alone} when it continues alone, where after one other token all may be others."
    )


def _times(speedup: Document) -> str:
    return with_interval(speedup["estimate"], speedup["interval"], "ratio")


def _cache_of(found: Document) -> str:
    return "no cache" if found["kv_cache"] == "none" else f"a cache of {found['kv_cache']}"


def _notes(found: Document) -> Iterator[str]:
    named: dict[str, list[str]] = {}
    for name in _NAMES:
        one = found["variants"][name]
        if one["reason"] and name != _REFERENCE:
            named.setdefault(f"{MISSING} {{}}: {one['reason']}", []).append(name)
        if one["reference_reason"]:
            named.setdefault(f"{{}} by NumPy: {one['reference_reason']}", []).append(name)
    for text, names in named.items():
        yield text.replace("{}", ", ".join(name.replace("-", ", ") for name in names), 1)
