"""One submission against another, metric by metric: by how much, with which interval, and what may be said of it.

Speed is compared only as the ratio that each has to its own baseline, never in milliseconds, which belong to a machine
and a moment. What cannot be compared says why. Takes valid submissions of version 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pipeline.stats.compare import verdict
from pipeline.stats.independent import independent_difference
from pipeline.submission.accuracy_change import Pair, accuracy_change, why_not_comparable
from pipeline.submission.perplexity_change import loss_change, not_the_same_text

__all__ = ["Change", "EXACT", "NOT_COMPARABLE", "changes", "same_work", "work_of"]

Document = Mapping[str, Any]
Interval = tuple[float, float]

NOT_COMPARABLE = "not comparable"
EXACT = "exact"
_WORK = ("scenario", "batch_size", "samples_per_query", "threads")
_TEXTS = ("prompt_tokens", "new_tokens", "kv_cache")  # of the scenario generate
_BASELINE = ("parameters", "macs", "stored_bytes")
_LARGEST_LOG = 700.0  # of a number that is finite, and so is its inverse, whatever a stranger's intervals say
# metric -> its key in `size` of a submission, its unit, and its verdicts for less and for more of it
_COUNTED = {
    "stored size": ("stored_bytes", "B", "smaller", "larger"),
    "weights in RAM": ("working_set_bytes", "B", "smaller", "larger"),
    "parameters": ("parameters", "count", "fewer", "more"),
    "MACs": ("macs", "count", "fewer", "more"),
}


@dataclass(frozen=True)
class Change:
    """One metric in two submissions.

    `change` is second minus first for the unit "points", and else a ratio, above 1 where the second is better; but of
    perplexities, of which less is better, it is second over first, as everywhere. Of an
    exact figure the interval is the figure. Both are None where the metric is not comparable; `reason` says why, or how
    the change was computed.
    """

    metric: str
    unit: str
    first: float
    second: float
    change: float | None
    change_unit: str
    interval: Interval | None
    verdict: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return the record as a JSON object."""
        return {**asdict(self), "interval": list(self.interval) if self.interval else None}


def changes(first: Document, second: Document, answers: Pair = (None, None)) -> list[Change]:
    """Return accuracy, speed-up, stored size, weights in memory, parameters and MACs of the second against the first.

    Of language models perplexity follows the accuracy, and the time to first token the speed-up where both continue
    texts. `answers` tell of both, where that is known, how they answer the test items.
    """
    both = first, second
    counted = [_counted(metric, first, second) for metric in _COUNTED]
    speeds = [_speed("speed-up", first, second, [document["comparisons"]["speed"]["speedup"] for document in both])]
    if None not in (texts := [_texts(document) for document in both]):
        speeds.append(_speed("first token", first, second, [found["ttft_speedup"] for found in texts if found]))
    losses = [_perplexity(first, second, answers)] if all("language" in document for document in both) else []
    return [_accuracy(first, second, answers), *losses, *speeds, *counted]


def same_work(first: Document, second: Document) -> str:
    """Return why the speed-ups of two submissions are not of the same work, "" if they are.

    It is the same if the scenario, batch size and threads agree (where texts are continued also the tokens and the
    cache), and the baselines' architecture and size: then a speed-up has the same unit. Weights may differ; they take
    the same time.
    """
    speeds = first["comparisons"]["speed"], second["comparisons"]["speed"]
    for key in _WORK:
        if speeds[0][key] != speeds[1][key]:
            return f"{key.replace('_', ' ')} {speeds[0][key]} against {speeds[1][key]}"
    texts = [_texts(document) or {} for document in (first, second)]
    for key in _TEXTS:
        if texts[0].get(key) != texts[1].get(key):
            return f"{key.replace('_', ' ')} {texts[0].get(key)} against {texts[1].get(key)}"
    models = first["baseline"]["model_name"], second["baseline"]["model_name"]
    if models[0] != models[1]:
        return f"the baseline is {models[0]} in one, {models[1]} in the other"
    sizes = first["size"]["baseline"], second["size"]["baseline"]
    for key in _BASELINE:
        if sizes[0][key] != sizes[1][key]:
            name = key.replace("_", " ")
            return f"the baselines differ: {sizes[0][key]:,} {name} against {sizes[1][key]:,}"
    return ""


def work_of(submission: Document) -> tuple[Any, ...]:
    """Return what speed-ups have in common if `same_work` has nothing to say of two submissions, as one value."""
    speed, size = submission["comparisons"]["speed"], submission["size"]["baseline"]
    model = submission["baseline"]["model_name"]
    texts = _texts(submission) or {}
    about = (*(speed[key] for key in _WORK), *(texts[key] for key in _TEXTS if key in texts))
    return *about, model, *(size[key] for key in _BASELINE)


def _texts(submission: Document) -> Document | None:
    """Return what was measured of texts that are continued, None in other scenarios."""
    found: Document | None = submission["benchmark"]["comparisons"][0].get("generate")
    return found


def _speed(metric: str, first: Document, second: Document, ratios: list[Document]) -> Change:
    speeds = first["comparisons"]["speed"], second["comparisons"]["speed"]
    blank = Change(
        metric, "ratio", ratios[0]["estimate"], ratios[1]["estimate"], None, "ratio", None, NOT_COMPARABLE, ""
    )
    if why := same_work(first, second):
        return replace(blank, reason=why)
    if first["provenance"]["samples"] == second["provenance"]["samples"] and ratios[0] == ratios[1]:
        return replace(blank, change=1.0, interval=(1.0, 1.0), verdict="equivalent", reason="the same measurement")
    if unusable := [ratio for ratio in ratios if not _holds_estimate(ratio) or ratio["interval"][0] <= 0]:
        return replace(blank, reason=f"{unusable[0]['interval']} is no interval of {unusable[0]['estimate']}")
    logs = [math.log(ratio["estimate"]) for ratio in ratios]
    estimate, (low, high) = independent_difference(logs[0], _logs(ratios[0]), logs[1], _logs(ratios[1]))
    interval = _exp(low), _exp(high)
    threshold = max(speed["threshold"] for speed in speeds)
    word, reason = verdict(interval, threshold), "ratio of two independent ratios to the own baseline"
    if any(speed["noisy"] for speed in speeds):
        word, reason = "noisy", "a comparison is noisy: nothing may be claimed from it"
    return replace(blank, change=_exp(estimate), interval=interval, verdict=word, reason=reason)


def _logs(ratio: Document) -> Interval:
    low, high = ratio["interval"]
    return math.log(low), math.log(high)


def _exp(logarithm: float) -> float:
    return math.exp(max(-_LARGEST_LOG, min(logarithm, _LARGEST_LOG)))


def _holds_estimate(record: Document) -> bool:
    low, high = record["interval"]
    return bool(low <= record["estimate"] <= high)


def _accuracy(first: Document, second: Document, answers: Pair) -> Change:
    rates = [document["accuracy"]["optimized"]["test"]["accuracy"] for document in (first, second)]
    blank = Change("accuracy (test)", "share", rates[0], rates[1], None, "points", None, NOT_COMPARABLE, "")
    if why := why_not_comparable(first, second):
        return replace(blank, reason=why)
    found = accuracy_change(first, second, answers)
    return replace(blank, change=found.delta, interval=found.interval, verdict=found.verdict, reason=found.reason)


def _perplexity(first: Document, second: Document, answers: Pair) -> Change:
    values = [document["language"]["optimized"]["test"]["perplexity"] for document in (first, second)]
    blank = Change("perplexity", "perplexity", values[0], values[1], None, "ratio", None, NOT_COMPARABLE, "")
    if why := not_the_same_text(first, second):
        return replace(blank, reason=why)
    found = loss_change(first, second, answers)
    return replace(blank, change=found.ratio, interval=found.interval, verdict=found.verdict, reason=found.reason)


def _counted(metric: str, first: Document, second: Document) -> Change:
    key, unit, less, more = _COUNTED[metric]
    before, after = first["size"]["optimized"][key], second["size"]["optimized"][key]
    if not (before and after):  # nothing at all has no ratio
        return Change(metric, unit, before, after, None, "ratio", None, NOT_COMPARABLE, "there is none in one of them")
    word = less if after < before else more if after > before else "same"
    ratio = before / after
    return Change(metric, unit, before, after, ratio, "ratio", (ratio, ratio), word, EXACT)
