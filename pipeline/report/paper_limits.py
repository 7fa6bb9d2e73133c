"""What a written report says against itself: what was not shown, what was odd, and on which machine it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.report.markdown import escape
from pipeline.report.paper_origin import SUBMISSION
from pipeline.report.paper_sources import Sources, table
from pipeline.submission.badge import BADGES
from pipeline.submission.quantities import quantity

__all__ = ["limits", "machine"]

Document = Mapping[str, Any]

# level of trust -> what it does not show
_CAVEATS = {
    "recomputed": " That shows that they follow from the samples and answers there, not that these were measured."
}
_FACTS = {
    "processor": ("cpu",),
    "instruction sets": ("flags",),
    "caches": ("caches",),
    "cores": ("cores", "allowed"),
    "memory": ("memory_bytes",),
    "system": ("system",),
    "kernel": ("kernel",),
    "architecture": ("architecture",),
    "virtual machine": ("virtual",),
    "container": ("container",),
    "governor": ("governor",),
    "turbo": ("turbo",),
    "Python": ("python",),
    "NumPy": ("numpy",),
    "BLAS": ("blas",),
}


def limits(sources: Sources, submission: Document, ablation: Document | None, trust: str) -> Iterator[str]:
    """List what a reader has to know before relying on the figures."""
    yield f"- **Trust: {trust}.** {BADGES[trust].meaning}{_CAVEATS.get(trust, '')}"
    if ablation is not None:
        yield "- **Contributions of single steps** stand in a file of their own, which the evidence does not cover."
    yield from _undecided(sources, submission)
    yield "- **One machine.** Times and their ratios hold for the processor below; elsewhere they have to be measured."
    items = sources.figure("count", SUBMISSION, "comparisons", "accuracy", "evaluated")
    low, high = submission["comparisons"]["accuracy"]["interval"]
    width = (SUBMISSION, "comparisons", "accuracy", "interval")
    half = sources.derived((high - low) / 2, "points", "half the width of ", *width)
    yield f"- **{items} test items.** The change of accuracy is known to about ±{half}; what is smaller cannot be seen."
    if len(submission["provenance"]["seeds"]["tried"]) == 1:
        tried = sources.words(SUBMISSION, "provenance", "seeds", "tried")
        yield f"- **One seed** ({tried}). How much training itself varies was not looked at; `seeds` in the file would."
    if submission["selection"]["tried"] > 1:
        number = sources.figure("count", SUBMISSION, "selection", "tried")
        yield (
            f"- **Chosen among {number}.** The choice was made on the validation split, so that the test figures are "
            "not those of a lucky point."
        )
    failed = submission["selection"].get("failed", ())
    for i, point in enumerate(failed):
        reason = sources.text(point["reason"], SUBMISSION, "selection", "failed", i, "reason")
        yield f"- **A point without result**: {escape(point['label'])}: {reason}"
    for i, warning in enumerate(submission["warnings"]):
        yield f"- **Warning.** {sources.text(warning, SUBMISSION, 'warnings', i)}"


def _undecided(sources: Sources, submission: Document) -> Iterator[str]:
    speed, threads = submission["comparisons"]["speed"], submission["measurement"]
    if speed["verdict"] in ("noisy", "inconclusive"):
        yield f"- **The speed is {speed['verdict']}**: no claim can be made that the optimized model is faster."
    if threads["status"] == "reused":
        yield "- **Measured earlier**: the times come from an earlier run on the same machine."
    for i, goal in enumerate(submission["constraints"]):
        if goal["status"] != "met":
            reason = sources.text(goal["reason"], SUBMISSION, "constraints", i, "reason")
            words = {"not_met": "missed", "inconclusive": "undecided"}[goal["status"]]
            yield f"- **Limit {words}**: {escape(goal['metric'].replace('_', ' '))}: {reason}"


def machine(sources: Sources, submission: Document) -> Iterator[str]:
    """Lay out what is known of the machine, and why something is not."""
    found = submission["machine"]
    rows = []
    for name, keys in _FACTS.items():
        value = sources.value(SUBMISSION, "machine", *keys)
        rows.append((name, "unknown" if value is None else _fact(sources, value, keys)))
    rows.append(("measured", sources.words(SUBMISSION, "measurement", "measured_at")))
    yield from table(("", ""), rows)
    for name in sorted(found.get("missing", {})):
        reason = sources.words(SUBMISSION, "machine", "missing", name)
        yield f"\n{escape(name.capitalize())} could not be read: {reason}."


def _fact(sources: Sources, value: Any, keys: tuple[str, ...]) -> str:
    if keys == ("memory_bytes",):
        return sources.figure("B", SUBMISSION, "machine", *keys)
    if keys == ("caches",):
        text = ", ".join(f"{name} {quantity(size, 'B')}" for name, size in value.items())
        return sources.text(text, SUBMISSION, "machine", *keys)
    return sources.words(SUBMISSION, "machine", *keys)
