"""The four questions that a report has to answer, each in a few sentences that stand on the submission's figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.measure.scenario import SCENARIOS
from pipeline.report.correction import correction_text
from pipeline.report.front import on_front, worth
from pipeline.report.verdicts import limits
from pipeline.submission.quantities import p_value_text, quantity, with_interval

__all__ = ["Answer", "answers"]

_UNCLAIMED = ("inconclusive", "noisy")
_MANY_TIMES = 100  # as many items: more is no advice
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """A question, and the sentences that answer it; `command` is what to type, where that is the answer."""

    question: str
    sentences: tuple[str, ...]
    command: str = ""


def answers(submission: Document, is_ablated: bool = False) -> tuple[Answer, ...]:
    """Return what a reader of a submission of version 2 wants to know first, but for what an ablation found."""
    return (
        Answer("Which point should I deploy?", tuple(_which(submission))),
        Answer("How sure is that?", tuple(_how_sure(submission))),
        Answer("What did each step contribute?", tuple(_contributions(submission, is_ablated))),
        Answer("How do I reproduce it?", tuple(_again(submission)), submission["provenance"]["command"]),
    )


def _which(submission: Document) -> Iterator[str]:
    selection, size = submission["selection"], submission["comparisons"]["size"]
    chosen = next((point for point in selection["points"] if point["index"] == selection["chosen"]), None)
    name = (chosen or {}).get("label") or submission["optimized"]["model_name"]
    yield f"{name}: {selection['reason']}." if selection["tried"] > 1 else f"{name}, the only point."
    speed = submission["comparisons"]["speed"]
    ratio = quantity(size["ratio"] if size["ratio"] >= 1 else 1 / max(size["ratio"], 1e-12), "ratio")
    less = {"smaller": f"{ratio} smaller", "larger": f"{ratio} larger", "same": "as large"}[size["verdict"]]
    faster = {
        "faster": f"{quantity(speed['speedup']['estimate'], 'ratio')} as fast",
        "slower": f"{quantity(speed['speedup']['estimate'], 'ratio')} as fast, which is slower",
        "equivalent": "as fast",
    }.get(speed["verdict"])
    pace = f"it is {faster}" if faster else f"nothing can be said of its speed yet ({speed['verdict']})"
    drop = submission["comparisons"]["accuracy"]
    yield (
        f"Its file is {less} than the baseline's, {pace}, and its accuracy on the test split is "
        f"{quantity(submission['accuracy']['optimized']['test']['accuracy'], 'share')} "
        f"({quantity(drop['delta'], 'points')}: {drop['verdict']})."
    )
    if "language" in submission:
        before, after, change = (submission["language"][key]["test"] for key in ("baseline", "optimized", "change"))
        yield (
            f"Its perplexity on the test text is {quantity(after['perplexity'], 'perplexity')} instead of "
            f"{quantity(before['perplexity'], 'perplexity')} ({change['verdict']}); its accuracy is how often it names "
            "the next token."
        )
    missed = [limit for limit in limits(submission) if limit.status != "met"]
    if missed:
        told = (f"{limit.status}: {limit.wanted}; measured {limit.measured}" for limit in missed)
        yield f"But a goal is {'; another is '.join(told)}."
        yield from _items_needed(submission)
    elif submission["constraints"]:
        yield f"{_all_of(len(submission['constraints']), 'goal')} met on the test split."
    yield from _instead(selection)


def _items_needed(submission: Document) -> Iterator[str]:
    """Say how many test items would decide a limit on accuracy that is open: intervals narrow as their root grows."""
    evaluated = submission["comparisons"]["accuracy"]["evaluated"]
    for record in submission["constraints"]:
        if (record["metric"], record["status"], record["split"]) != ("accuracy", "inconclusive", "test"):
            continue
        low, high = record["interval"]
        margin = abs(record["limit"] - record["measured"])
        if margin and (times := ((high - low) / 2 / margin) ** 2) <= _MANY_TIMES:
            needed = math.ceil(evaluated * max(times, 1.1) / 10) * 10
            yield f"About {needed:,} test items instead of {evaluated:,} would decide it, if the difference stays."


def _instead(selection: Document) -> Iterator[str]:
    """Name what else is worth a look: the most accurate and the fastest point of the front that keep every limit."""
    points = selection["points"]
    front = [points[i] for i in sorted(on_front([worth(point) for point in points]))]
    others = [
        point
        for point in front
        if point["index"] != selection["chosen"] and all(record["status"] == "met" for record in point["constraints"])
    ]
    told: dict[int, str] = {}
    for word, of in (
        ("the most accurate", lambda point: worth(point)[:2]),
        ("the fastest", lambda point: worth(point)[2]),
    ):
        best = max(others, key=of, default=None)
        if best is not None:
            told[best["index"]] = f"{told[best['index']]} and {word}" if best["index"] in told else word
    for point in points:
        if point["index"] in told:
            yield (
                f"Of the others on the front that keep every limit, {told[point['index']]} is {point['label']}: "
                f"{quantity(point['accuracy']['validation']['accuracy'], 'share')}{_perplexity(point)} on the "
                "validation split, "
                f"{quantity(point['stored_bytes'], 'B')}, "
                f"{quantity(point['speedup']['estimate'], 'ratio')} as fast{_unclaimed(point['verdict'])}."
            )


def _perplexity(point: Document) -> str:
    """Return what to say of a language model beside its accuracy on the validation split, "" of others."""
    if "perplexity" not in point:
        return ""
    return f" and a perplexity of {quantity(point['perplexity']['validation'], 'perplexity')}"


def _unclaimed(verdict: str) -> str:
    """Return what to say beside a speed-up that may not be claimed, "" beside others."""
    return f" by its estimate, of which nothing may be claimed ({verdict})" if verdict in _UNCLAIMED else ""


def _how_sure(submission: Document) -> Iterator[str]:
    speed, accuracy = submission["comparisons"]["speed"], submission["comparisons"]["accuracy"]
    ratio, control = (
        with_interval(speed[key]["estimate"], speed[key]["interval"], "ratio") for key in ("speedup", "control")
    )
    yield (
        f"Speed: {speed['verdict']}, {ratio} at 95 %, from {speed['pairs']:,} pairs in {speed['processes']} "
        f"processes; the baseline against a copy of itself came to {control} there, which is noise."
    )
    if speed["adjusted_p_value"] is not None and speed["verdict"] != "inconclusive":
        yield (
            f"That holds after the correction for {speed['compared']} comparisons "
            f"(Holm: {p_value_text(speed['adjusted_p_value'])})."
        )
    if by_percentile := _by_percentile(submission["benchmark"]["comparisons"][0]):
        yield by_percentile
    if undecided := correction_text(submission):
        yield f"{undecided}."
    yield (
        f"Accuracy: changed by {with_interval(accuracy['delta'], accuracy['interval'], 'points')}, from "
        f"{accuracy['evaluated']:,} test items that had no part in the choice."
    )
    if "language" in submission:
        change, test = submission["language"]["change"]["test"], submission["language"]["optimized"]["test"]
        yield (
            f"Perplexity: {with_interval(change['ratio'], change['interval'], 'ratio')} of the baseline's at 95 %, "
            f"from {test['windows']:,} windows of the test text, both models on the same."
        )
    yield "Size and work are counted, not estimated."
    if speed["noisy"]:
        yield "The machine was too restless: nothing may be claimed about speed. Measure again on a quieter one."
    if count := sum(text.startswith("benchmark") for text in submission["warnings"]):
        yield f"{count} warning{' says' if count == 1 else 's say'} below what disturbed or shortened the measurement."


def _by_percentile(comparison: Document) -> str:
    """Return the ratio of the percentile that the scenario is judged by: the speed-up is of typical queries."""
    scenario = SCENARIOS.get(comparison["scenario"])
    name = scenario.headline if scenario else ""
    before, after = (comparison["arms"][side]["percentiles"].get(name) for side in ("baseline", "optimized"))
    if comparison["server"] or not before or not after:
        return ""
    return (
        f"That ratio is of typical queries, pair by pair; of {name}, which {comparison['scenario']} is judged by, it "
        f"is {quantity(before / after, 'ratio')}, without an interval."
    )


def _contributions(submission: Document, is_ablated: bool) -> Iterator[str]:
    for effect in submission["effects"]:
        parts = []
        for name, key, unit in (("size", "stored_bytes", "B"), ("work", "macs", "count")):
            before, after = effect[f"{key}_before"], effect[f"{key}_after"]
            if before != after:
                parts.append(f"{name} {quantity(before, unit)} → {quantity(after, unit)}")
        if "accuracy" in effect:
            found = effect["accuracy"]["test"]
            parts.append(f"accuracy {with_interval(found['change'], found['change_interval'], 'points')}")
        if effect["simulated"]:
            parts.append("simulated, so no time is saved")
        yield f"{effect['id']}: {'; '.join(parts) or 'changed nothing that is counted'}."
    if not submission["effects"]:
        yield "There are no steps."
    if len(submission["effects"]) > 1 and not is_ablated:
        yield "The speed is that of all together; pipeline ablate measures each step's."


def _again(submission: Document) -> Iterator[str]:
    provenance = submission["provenance"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(provenance["versions"].items()))
    yield (
        "pipeline verify submission.json trains, shrinks and measures again, and compares weights, answers and times. "
        "Or save the experiment below as a file and run the command: equal weights have equal digests; times are those "
        "of your machine."
    )
    yield f"Made with {versions}."


def _all_of(count: int, noun: str) -> str:
    return {1: f"The only {noun} is", 2: f"Both {noun}s are"}.get(count, f"All {count} {noun}s are")
