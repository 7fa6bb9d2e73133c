"""Two submissions of language models: by how much the perplexity differs, how that is known, and a gate for it."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest

from pipeline.stats.perplexity import perplexity_record
from pipeline.submission.accuracy_change import Answered
from pipeline.submission.change import Change, changes
from pipeline.submission.gate import hold_against

Document = dict[str, Any]
WINDOWS, CONTEXT = 40, 8


def losses(worse: float = 0.0) -> np.ndarray:
    """Losses that vary much from window to window, and by `worse` nats more than another model's, give or take."""
    rng = np.random.default_rng(3)
    hard = rng.normal(2.0, 0.5, (WINDOWS, 1)) + rng.normal(0, 0.1, (WINDOWS, CONTEXT))
    own = np.random.default_rng(4).normal(0, 0.001, hard.shape) if worse else np.zeros(hard.shape)
    return (hard + worse + own - own.mean()).astype(np.float32)


def of_a_text(submission: Document, found: np.ndarray) -> Document:
    """The submission of a language model with such losses on the test text."""
    made = copy.deepcopy(submission)
    made["language"] = {"optimized": {"test": perplexity_record(found, np.full(len(found), 20))}}
    return made


def answered(found: np.ndarray) -> Answered:
    return Answered(np.ones(found.size, bool), found)


def change_of(first: Document, second: Document, *answers: Answered) -> Change:
    pair = answers if len(answers) == 2 else (None, None)
    return {change.metric: change for change in changes(first, second, pair)}["perplexity"]


def test_losses_of_the_same_windows_are_compared_in_pairs(submission: Document) -> None:
    """A hundredth of a nat more is found, which two intervals around perplexities of different windows would hide."""
    first, second = losses(), losses(0.01)
    documents = of_a_text(submission, first), of_a_text(submission, second)
    paired = change_of(*documents, answered(first), answered(second))
    assert paired.change == pytest.approx(math.exp((second - first).mean(dtype=np.float64)), rel=1e-6)
    assert paired.interval is not None
    assert 1 < paired.interval[0] < paired.change < paired.interval[1]
    assert (paired.verdict, paired.change_unit) == ("significantly worse", "ratio")
    assert change_of(*reversed(documents), answered(second), answered(first)).verdict == "significantly better"


def test_without_evidence_intervals_are_compared(submission: Document) -> None:
    """Wider, and said to be so; a large difference is found all the same."""
    near, far = of_a_text(submission, losses(0.01)), of_a_text(submission, losses(1.0))
    change = change_of(of_a_text(submission, losses()), near)
    assert change.verdict == "no significant change"
    assert "two independent perplexities" in change.reason
    assert change_of(of_a_text(submission, losses()), far).verdict == "significantly worse"
    assert change_of(far, near).verdict == "significantly better"


def test_other_texts_are_not_comparable(submission: Document) -> None:
    """Nor are other tokens; an interval that does not hold its figure says nothing."""
    first = of_a_text(submission, losses())
    other = of_a_text(submission, losses())
    other["provenance"]["data"]["roles"]["test"] = "4" * 64
    assert "the test texts differ" in change_of(first, other).reason
    wrong = of_a_text(submission, losses())
    wrong["language"]["optimized"]["test"]["interval"] = [1.0, 1.5]
    assert "does not hold" in change_of(first, wrong).reason


@pytest.mark.parametrize("low", [0.0, -1.0, 0.99])
def test_an_interval_below_one_says_nothing(submission: Document, low: float) -> None:
    """Without evidence nobody has computed it: a stranger's has no logarithm, which is no error of ours."""
    first, wrong = of_a_text(submission, losses()), of_a_text(submission, losses())
    wrong["language"]["optimized"]["test"]["interval"][0] = low
    for pair in ((first, wrong), (wrong, first)):
        change = change_of(*pair)
        assert (change.change, change.verdict) == (None, "not comparable")
        assert "goes below 1" in change.reason


def test_images_have_no_perplexity(submission: Document) -> None:
    """It is no row of the comparison, and a limit for it stays undecided with that reason."""
    assert "perplexity" not in {change.metric for change in changes(submission, submission)}
    (decision,) = hold_against(submission, of_a_text(submission, losses()), {"rise": 0.01})
    assert (decision.outcome, decision.reason) == ("inconclusive", "not comparable: they have no perplexity in common")


@pytest.mark.parametrize(("worse", "outcome"), [(0.0, "passed"), (0.01, "inconclusive"), (0.1, "failed")])
def test_a_rise_counts_at_the_bound(submission: Document, worse: float, outcome: str) -> None:
    """A hundredth of a nat is 1.005 %: the interval is on both sides of that."""
    first, second = losses(), losses(worse)
    documents = of_a_text(submission, first), of_a_text(submission, second)
    limit = {"rise": math.expm1(0.01)}
    (decision,) = hold_against(*documents, limit, (answered(first), answered(second)))
    assert decision.outcome == outcome
    assert decision.measured == pytest.approx(math.expm1(float((second - first).mean(dtype=np.float64))), abs=1e-6)
