"""How the accuracy on the test split differs between two submissions, as precisely as what is known of both allows.

Best are the answers themselves, which evidence beside both submissions has: then McNemar's test decides, as within one
submission. Without them, answers to the same items are known to agree where both agree with one common baseline.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import SubmissionInvalid
from pipeline.core.keys import digest_bytes
from pipeline.stats.accuracy import mcnemar
from pipeline.stats.independent import independent_difference
from pipeline.stats.paired import paired_difference
from pipeline.submission.compare import ACCURACY_VERDICTS, SIGNIFICANCE
from pipeline.submission.evidence import FILE, read_evidence, unpacked
from pipeline.submission.quantities import p_value_text

__all__ = ["AccuracyChange", "Answered", "Pair", "accuracy_change", "answers_of", "same_items", "why_not_comparable"]

Document = Mapping[str, Any]
Interval = tuple[float, float]
Answers = NDArray[np.bool_]

_NO_CHANGE, _WORSE, _BETTER = ACCURACY_VERDICTS


@dataclass(frozen=True)
class AccuracyChange:
    """Second accuracy minus first, its interval, the verdict, and how all this is known."""

    delta: float
    interval: Interval
    verdict: str
    reason: str


@dataclass(frozen=True)
class Answered:
    """Which test items a model is right on, bool (N,), and a language model's losses in nats, (windows, context)."""

    right: Answers
    losses: NDArray[np.floating[Any]] | None = None


Pair = tuple[Answered | None, Answered | None]


def answers_of(document: Document, folder: Path) -> Answered | None:
    """Return how the optimized model of a submission answers the test items, from evidence in its folder.

    None if the submission names no evidence, or the folder has none or that of another submission. Raises
    SubmissionInvalid if it says something else than the submission.
    """
    named = document.get("evidence")
    data = read_evidence(folder / FILE) if named else None
    if named is None or data is None or digest_bytes(data) != named["digest"]:
        return None
    try:
        found = unpacked(data).predictions["optimized"]
    except ValueError as error:
        raise SubmissionInvalid(f"{folder / FILE}: {error}") from None
    return Answered(_right(found, document, folder), found.get("test_losses"))


def _right(found: Mapping[str, NDArray[Any]], document: Document, folder: Path) -> Answers:
    answers, labels = found.get("test"), found.get("test_labels")
    record = document["accuracy"]["optimized"]["test"]
    if answers is None or labels is None or answers.shape != labels.shape or answers.shape != (record["evaluated"],):
        raise SubmissionInvalid(f"{folder / FILE}: has not one answer and one label for each test item")
    right: Answers = answers == labels
    if int(right.sum()) != record["correct"]:
        problem = f"has {int(right.sum())} right answers, and the submission says {record['correct']}"
        raise SubmissionInvalid(f"{folder / FILE}: {problem}")
    return right


def why_not_comparable(first: Document, second: Document) -> str:
    """Return why the accuracies of two submissions cannot be compared, "" if they can."""
    data = [document["provenance"]["data"] for document in (first, second)]
    if data[0]["name"] != data[1]["name"] or data[0]["classes"] != data[1]["classes"]:
        return f"measured on {data[0]['name']} and on {data[1]['name']}"
    if not all(
        record["interval"][0] <= record["accuracy"] <= record["interval"][1] for record in _tests(first, second)
    ):
        return "an interval does not hold its accuracy"
    return ""


def accuracy_change(first: Document, second: Document, answers: Pair = (None, None)) -> AccuracyChange:
    """Compare two submissions for which `why_not_comparable` says nothing; `answers` are those of `answers_of`."""
    if not same_items(first, second):
        return _by_rates(first, second, "the test items differ: intervals of two independent rates")
    if _same_predictions(first, second):
        return AccuracyChange(0.0, (0.0, 0.0), _NO_CHANGE, "the same predictions for the same items")
    if answers[0] is not None and answers[1] is not None:
        return _by_answers(answers[0].right, answers[1].right)
    loose = _by_rates(first, second, "intervals of two independent rates, as if the items were different ones")
    bound = _by_the_baseline(first, second)
    if bound is None or bound[1] - bound[0] >= loose.interval[1] - loose.interval[0]:
        return loose
    reason = "the same items: at most as many answers differ as differ from the common baseline"
    return AccuracyChange(loose.delta, bound, _direction(bound), reason)


def _tests(first: Document, second: Document) -> list[Document]:
    return [document["accuracy"]["optimized"]["test"] for document in (first, second)]


def same_items(first: Document, second: Document) -> bool:
    """Say whether the test splits of two submissions have the same items."""
    roles = [document["provenance"]["data"]["roles"]["test"] for document in (first, second)]
    counts = [record["evaluated"] for record in _tests(first, second)]
    return bool(roles[0] == roles[1] and counts[0] == counts[1])


def _same_predictions(first: Document, second: Document) -> bool:
    digests = [document["provenance"]["predictions"]["optimized"] for document in (first, second)]
    counts = [record["correct"] for record in _tests(first, second)]
    return bool(digests[0] == digests[1] and counts[0] == counts[1])


def _by_rates(first: Document, second: Document, reason: str) -> AccuracyChange:
    rates = [record["accuracy"] for record in _tests(first, second)]
    intervals = [(record["interval"][0], record["interval"][1]) for record in _tests(first, second)]
    delta, interval = independent_difference(rates[0], intervals[0], rates[1], intervals[1])
    return AccuracyChange(delta, interval, _direction(interval), reason)


def _by_answers(first: Answers, second: Answers) -> AccuracyChange:
    test = mcnemar(first, second)
    counts = test.only_baseline, test.only_candidate
    delta, interval = paired_difference(*counts, len(first), 1 - SIGNIFICANCE)
    word = _NO_CHANGE if test.p_value >= SIGNIFICANCE else _WORSE if counts[0] > counts[1] else _BETTER
    reason = (
        f"of {len(first):,} items only the first is right on {counts[0]:,}, only the second on {counts[1]:,} "
        f"(McNemar's test: {p_value_text(test.p_value)})"
    )
    return AccuracyChange(delta, interval, word, reason)


def _by_the_baseline(first: Document, second: Document) -> Interval | None:
    """Return the widest interval of the paired difference that answers of one common baseline leave possible.

    Where both models are right or both wrong beside a baseline, they agree with each other: what only one of the two
    gets right is at most what they and the baseline do not have in common.
    """
    baselines = [document["provenance"]["predictions"]["baseline"] for document in (first, second)]
    a, b = (document["comparisons"]["accuracy"] for document in (first, second))
    right = [record["correct"] for record in _tests(first, second)]
    evaluated = _tests(first, second)[0]["evaluated"]
    if baselines[0] != baselines[1]:
        return None
    most = min(right[0], evaluated - right[1])  # that only the first can be right on, whatever the baseline says
    only_first = min(a["only_optimized_correct"] + b["only_baseline_correct"], most)
    only_second = only_first + right[1] - right[0]
    if min(only_first, only_second) < 0 or only_first + only_second > evaluated:
        return None  # counts that no answers have
    return paired_difference(only_first, only_second, evaluated, 1 - SIGNIFICANCE)[1]


def _direction(interval: Interval) -> str:
    low, high = interval
    return _WORSE if high < 0 else _BETTER if low > 0 else _NO_CHANGE
