"""The four questions that a report answers first, where the answer is not plain."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.report.answers import answers
from pipeline.report.terminal import render


def answered(submission: dict[str, Any], question: str) -> str:
    (found,) = (answer for answer in answers(submission) if answer.question == question)
    return " ".join(found.sentences)


@pytest.fixture
def open_goal(submission: dict[str, Any]) -> dict[str, Any]:
    """A limit on accuracy that 359 test items do not decide."""
    submission["comparisons"]["accuracy"]["evaluated"] = 359
    submission["constraints"][0] |= {
        "metric": "accuracy", "limit_kind": "max_drop", "limit": 0.03, "measured": 0.02, "unit": "points",
        "interval": [0.004, 0.036], "status": "inconclusive", "split": "test", "reason": "a part of the interval",
    }  # fmt: skip
    return submission


def test_an_open_limit_on_accuracy_says_how_many_items_decide_it(open_goal: dict[str, Any]) -> None:
    """Half the interval, 1.6 points, has to shrink to the margin of 1.0: 2.56 times as many items."""
    text = answered(open_goal, "Which point should I deploy?")
    assert "a goal is inconclusive: accuracy drops by at most 3.00 points" in text
    assert "About 920 test items instead of 359 would decide it, if the difference stays." in text


def test_a_figure_on_its_limit_cannot_be_decided_by_more_items(open_goal: dict[str, Any]) -> None:
    """Nothing is advised that helps nobody."""
    open_goal["constraints"][0]["measured"] = 0.03
    assert "would decide it" not in answered(open_goal, "Which point should I deploy?")


def test_other_points_that_keep_every_limit_are_named(submission: dict[str, Any]) -> None:
    """The most accurate and the fastest of the front, by the validation split."""
    chosen = submission["selection"]["chosen"]
    for point in submission["selection"]["points"]:
        better = point["index"] == (chosen + 1) % 4
        point["constraints"] = []
        point["speedup"] = {"estimate": 9.0 if better else 1.5, "interval": [1.4, 9.5]}
        point["accuracy"]["validation"]["accuracy"] = 0.99 if better else 0.9
    text = answered(submission, "Which point should I deploy?")
    assert "Of the others on the front that keep every limit, the most accurate and the fastest is" in text
    assert "99.0 % on the validation split" in text
    assert "9.00x as fast" in text


@pytest.mark.parametrize("verdict", ["noisy", "inconclusive"])
def test_another_point_whose_speed_is_open_is_said_to_be_so(submission: dict[str, Any], verdict: str) -> None:
    """The largest estimate of many may be luck: it is no claim."""
    for point in submission["selection"]["points"]:
        point["constraints"], point["verdict"] = [], verdict
    text = answered(submission, "Which point should I deploy?")
    assert f"as fast by its estimate, of which nothing may be claimed ({verdict})." in text
    for point in submission["selection"]["points"]:
        point["verdict"] = "faster"
    assert "nothing may be claimed" not in answered(submission, "Which point should I deploy?")


@pytest.fixture
def of_a_text(submission: dict[str, Any]) -> dict[str, Any]:
    """A language model: the loss on the test text says more than how often it names the next token."""
    submission["language"] = {
        "baseline": {"test": {"perplexity": 34.26, "windows": 162}},
        "optimized": {"test": {"perplexity": 36.5, "windows": 162}},
        "change": {"test": {"ratio": 1.0654, "interval": [1.05, 1.08], "verdict": "significantly worse"}},
    }
    for point in submission["selection"]["points"]:
        point["perplexity"] = {"validation": 35.0 + point["index"]}
    return submission


def test_a_language_model_is_told_by_its_perplexity(of_a_text: dict[str, Any]) -> None:
    """With what its accuracy counts."""
    text = answered(of_a_text, "Which point should I deploy?")
    assert "Its perplexity on the test text is 36.5 instead of 34.3 (significantly worse); its accuracy is how" in text


def test_a_change_of_perplexity_says_what_it_stands_on(of_a_text: dict[str, Any]) -> None:
    """The windows are the sample; both models read the same ones."""
    text = answered(of_a_text, "How sure is that?")
    assert "Perplexity: 1.07x [1.05, 1.08] of the baseline's at 95 %, from 162 windows of the test text" in text


def test_other_points_of_a_text_are_told_by_their_perplexity(of_a_text: dict[str, Any]) -> None:
    """On the split that chooses."""
    chosen = of_a_text["selection"]["chosen"]
    for point in of_a_text["selection"]["points"]:
        point["constraints"] = []
        point["accuracy"]["validation"]["accuracy"] = 0.99 if point["index"] == (chosen + 1) % 4 else 0.9
    other = 35.0 + (chosen + 1) % 4
    text = answered(of_a_text, "Which point should I deploy?")
    assert f"99.0 % and a perplexity of {other:.1f} on the validation split" in text


def test_percentiles_below_the_median_are_explained(submission: dict[str, Any]) -> None:
    """In noise the two streams of samples may contradict each other."""
    arm = submission["benchmark"]["comparisons"][0]["arms"]["baseline"]
    assert "different samples" not in render(submission)
    arm["percentiles"]["p90"] = arm["median_ns"] * 0.9
    text = " ".join(render(submission).split())
    assert "latency, p90, baseline: below the median, because the two are of different samples" in text


def test_a_claim_among_many_says_that_it_was_corrected(submission: dict[str, Any]) -> None:
    """How sure it is depends on how many were tried."""
    submission["comparisons"]["speed"] |= {"verdict": "faster", "compared": 48, "adjusted_p_value": 0.004}
    text = answered(submission, "How sure is that?")
    assert "That holds after the correction for 48 comparisons (Holm: p = 0.004)." in text


def test_the_percentile_that_counts_stands_beside_the_speed_up(submission: dict[str, Any]) -> None:
    """Slow queries may gain less than typical ones, of which the speed-up is."""
    arms = submission["benchmark"]["comparisons"][0]["arms"]
    arms["baseline"]["percentiles"]["p90"], arms["optimized"]["percentiles"]["p90"] = 67_100.0, 44_000.0
    text = answered(submission, "How sure is that?")
    assert "of p90, which single_stream is judged by, it is 1.52x, without an interval." in text
    arms["optimized"]["percentiles"]["p90"] = None
    assert "p90" not in answered(submission, "How sure is that?")


def test_how_sure_points_to_warnings_of_the_measurement(submission: dict[str, Any]) -> None:
    """They are folded below; those of other stages say nothing of it."""
    assert "below what disturbed" not in answered(submission, "How sure is that?")
    submission["warnings"] += ["benchmark: the budget of 5 s was spent after 3 of 4 processes"]
    assert "1 warning says below what disturbed or shortened" in answered(submission, "How sure is that?")
    submission["warnings"] += ["benchmark: steady_state not reached"]
    assert "2 warnings say below what disturbed or shortened" in answered(submission, "How sure is that?")


def test_speed_is_told_apart_by_an_ablation_only(submission: dict[str, Any]) -> None:
    """Steps are not timed one by one in a run."""
    said = "pipeline ablate measures each step's"
    assert said in answered(submission, "What did each step contribute?")
    assert not any(said in text for answer in answers(submission, is_ablated=True) for text in answer.sentences)
