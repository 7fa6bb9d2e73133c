"""What the comparisons and limits of a submission mean, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.correction import why_undecided
from pipeline.submission.quantities import limit_text, p_value_text, quantity, with_interval

__all__ = ["Limit", "Verdict", "limits", "verdicts"]

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """`subject` is speed, size, accuracy or perplexity, `figure` its estimate, `word` the verdict, `text` the why."""

    subject: str
    figure: str
    word: str
    text: str
    tone: str


@dataclass(frozen=True)
class Limit:
    """A limit of the experiment: its status in words, what it asks, what was measured, and why it is decided so."""

    status: str
    wanted: str
    measured: str
    reason: str
    tone: str


# verdict -> tone and why; {upper} and {lower} are the ends of the zone in which a difference has no practical meaning
_SPEED = {
    "faster": ("good", "the whole interval is above {upper}"),
    "slower": ("bad", "the whole interval is below {lower}"),
    "equivalent": ("", "the whole interval is within {lower} and {upper}, where a difference does not matter"),
    "inconclusive": ("warn", "the interval is neither beyond {upper} or {lower} nor within them"),
    "noisy": ("warn", "the machine was too restless: nothing may be claimed"),
}
_ACCURACY = {"no significant change": "", "significantly worse": "bad", "significantly better": "good"}
_SIZE = {"smaller": "good", "same": "", "larger": "bad"}
_STATUS = {"met": ("met", "good"), "not_met": ("not met", "bad"), "inconclusive": ("inconclusive", "warn")}
_METRICS = {
    "accuracy": "accuracy",
    "compression": "compression",
    "latency_ms": "latency",
    "perplexity": "perplexity",
    "size_bytes": "size",
    "speedup": "speed-up",
    "throughput": "throughput",
    "tokens_per_second": "tokens per second",
    "ttft_ms": "time to first token",
}
_LIMITS = {
    "at_least": "{metric} of at least {limit}",
    "at_most": "{metric} of at most {limit}",
    "max_drop": "{metric} drops by at most {limit}",
    "max_increase": "{metric} grows by at most {limit}",
    "no_significant_loss": "no significant loss of {metric}",
}


def verdicts(submission: Document) -> tuple[Verdict, ...]:
    """Return the verdicts on speed, size and accuracy of a submission of version 2, and on perplexity if it has one."""
    comparisons = submission["comparisons"]
    return (
        _speed(comparisons["speed"], submission["effects"]),
        _size(comparisons["size"]),
        _accuracy(comparisons["accuracy"]),
        *([_perplexity(submission["language"])] if "language" in submission else []),
    )


def limits(submission: Document) -> tuple[Limit, ...]:
    """Return the limits of the experiment in order, as they were decided on the test split."""
    return tuple(_limit(record) for record in submission["constraints"])


def _speed(speed: Document, effects: list[Document]) -> Verdict:
    tone, text = _SPEED[speed["verdict"]]
    upper = 1 + speed["threshold"]
    why = text.format(upper=quantity(upper, "ratio"), lower=quantity(1 / upper, "ratio"))
    if speed["verdict"] == "inconclusive" and speed["adjusted_p_value"] is not None:
        is_faster = speed["speedup"]["estimate"] > 1
        edge = f"above {quantity(upper, 'ratio')}" if is_faster else f"below {quantity(1 / upper, 'ratio')}"
        why = why_undecided(speed, edge)
    if speed["scenario"] == "server":
        why += f"; {_of_a_server(speed['speedup']['method'])}"
    if any(effect["simulated"] for effect in effects):
        why += "; a simulated step gains no speed"
    figure = with_interval(speed["speedup"]["estimate"], speed["speedup"]["interval"], "ratio")
    return Verdict("speed", figure, speed["verdict"], why, tone)


def _of_a_server(method: str) -> str:
    """Return what a server's speed-up is the ratio of."""
    ratio, by, _ = method.partition(" by process")
    return ratio if by else "ratio of the times of single calls, because there are no rates of both models"


def _size(size: Document) -> Verdict:
    text = f"{quantity(size['optimized_bytes'], 'B')} stored instead of {quantity(size['baseline_bytes'], 'B')}"
    return Verdict("size", quantity(size["ratio"], "ratio"), size["verdict"], text, _SIZE[size["verdict"]])


def _accuracy(accuracy: Document) -> Verdict:
    text = (
        f"of {accuracy['evaluated']:,} test items only the baseline is right on {accuracy['only_baseline_correct']:,}, "
        f"only the optimized model on {accuracy['only_optimized_correct']:,} (McNemar's test: "
        f"{p_value_text(accuracy['p_value'])})"
    )
    figure = with_interval(accuracy["delta"], accuracy["interval"], "points")
    return Verdict("accuracy", figure, accuracy["verdict"], text, _ACCURACY[accuracy["verdict"]])


def _perplexity(language: Document) -> Verdict:
    before, after, change = (language[key]["test"] for key in ("baseline", "optimized", "change"))
    text = (
        f"{quantity(after['perplexity'], 'perplexity')} instead of {quantity(before['perplexity'], 'perplexity')} over "
        f"{after['tokens']:,} tokens of the test text; both models name the same token at "
        f"{quantity(change['agreement'], 'share')} of them"
    )
    figure = with_interval(change["ratio"], change["interval"], "ratio")
    return Verdict("perplexity", figure, change["verdict"], text, _ACCURACY[change["verdict"]])


def _limit(record: Document) -> Limit:
    status, tone = _STATUS[record["status"]]
    unit = record["unit"]
    wanted = _LIMITS[record["limit_kind"]].format(
        metric=_METRICS[record["metric"]], limit=limit_text(record["limit"], unit)
    )
    low, high = record["interval"]
    is_exact = low == high
    measured = quantity(record["measured"], unit) if is_exact else with_interval(record["measured"], (low, high), unit)
    return Limit(status, wanted, measured.removeprefix("+"), record["reason"], tone)
