"""What every report says of points that failed, and of how points were searched for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.report import html, markdown, terminal

HOSTILE = "<script>alert(1)</script>|**bold**\x1b[31m"

FAILED = {
    "index": 9,
    "label": "sparsity=0.9 bits=8",
    "seed": 0,
    "point": {"sparsity": 0.9, "bits": 8},
    "node": "optimize prune sparsity=0.9",
    "reason": "nothing is left\nof fc1",
}
SEARCH = {
    "strategy": "tpe",
    "seed": 3,
    "trials": 30,
    "repeated": 4,
    "objectives": ["minimize size_bytes"],
    "sampler": "optuna 5.0.0",
    "rungs": [],
}
LAYOUTS = [terminal.render, markdown.render, pytest.param(html.render, id="html")]


def render(layout: Callable[[dict[str, Any]], str], submission: dict[str, Any]) -> str:
    if layout is html.render:
        pytest.importorskip("jinja2")
    return layout(submission)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_failed_points_are_shown_with_their_reason(
    submission: dict[str, Any], layout: Callable[[dict[str, Any]], str]
) -> None:
    """Which, where and why, on one line each."""
    assert "took no part" not in render(layout, submission)
    submission["selection"]["failed"] = [FAILED]
    text = render(layout, submission).replace("\\", "")
    assert "1 point failed and took no part" in text
    assert "optimize prune sparsity=0.9" in text
    assert "nothing is left of fc1" in text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_search_is_told(submission: dict[str, Any], layout: Callable[[dict[str, Any]], str]) -> None:
    """Strategy, trials and seed."""
    submission["selection"]["search"] = SEARCH
    text = " ".join(render(layout, submission).replace("\\", "").split())
    assert "searched by tpe (optuna 5.0.0, seed 3) to minimize size_bytes: 30 trials, 4 of them repeated" in text


def test_the_rungs_of_halving_are_told(submission: dict[str, Any]) -> None:
    """How many points were given how much."""
    rungs = [{"resource": 2, "points": 9}, {"resource": 18, "points": 1}]
    submission["selection"]["search"] = {**SEARCH, "strategy": "halving", "repeated": 0, "trials": 9, "rungs": rungs}
    text = " ".join(terminal.render(submission).split())
    assert "9 trials; 9 points with 2, 1 point with 18" in text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hostile_words_of_a_failure_are_escaped(
    submission: dict[str, Any], layout: Callable[[dict[str, Any]], str]
) -> None:
    """A message may come from a file that a stranger wrote."""
    submission["selection"]["failed"] = [{**FAILED, "label": HOSTILE, "node": HOSTILE, "reason": HOSTILE}]
    text = render(layout, submission)
    assert "\x1b" not in text
    if layout is not terminal.render:
        assert "<script>alert" not in text


def test_many_failures_do_not_fill_the_screen(submission: dict[str, Any]) -> None:
    """The terminal lists ten; the files have them all."""
    submission["selection"]["failed"] = [{**FAILED, "index": 100 + i} for i in range(25)]
    assert terminal.render(submission).count("nothing is left of fc1") == 10
    assert "15 more are in the report" in terminal.render(submission)
    assert markdown.render(submission).count("nothing is left of fc1") == 25
