"""What a submission says of language models, goals for it, and what of it can be checked without evidence."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.schemas import read_schema
from pipeline.submission.candidate import Candidate
from pipeline.submission.compiled import compiled
from pipeline.submission.goals import decide
from pipeline.submission.language import language_section, language_warnings
from pipeline.submission.rules.agree import disagreements
from pipeline.submission.rules.language import stated_section

Arrays = dict[str, np.ndarray]
WINDOWS, CONTEXT = 30, 10


def answers(worse: float = 0.0, seed: int = 0) -> Arrays:
    """Answers of a model whose losses are around 2 nats, and by `worse` higher than another's."""
    rng = np.random.default_rng(seed)
    found: Arrays = {}
    for split in ("validation", "test"):
        labels = rng.integers(0, 50, WINDOWS * CONTEXT)
        losses = rng.normal(2.0, 0.3, (WINDOWS, CONTEXT)) + worse
        found |= {split: labels.copy(), f"{split}_labels": labels, f"{split}_losses": losses.astype(np.float32)}
        found[f"{split}_bytes"] = np.full(WINDOWS, 25, np.int64)
    return found


def section(worse: float = 0.02) -> dict[str, Any]:
    found = language_section({"baseline": answers(), "optimized": answers(worse)})
    assert found is not None
    return found


def test_both_models_on_both_splits() -> None:
    """Perplexities with intervals, their ratio, and how far the two agree; it fits the schema."""
    found = section()
    assert found["baseline"]["test"]["perplexity"] == pytest.approx(math.exp(2), rel=0.02)
    assert found["change"]["test"]["ratio"] == pytest.approx(math.exp(0.02), rel=1e-4)
    assert found["change"]["test"]["agreement"] == 1.0
    schema = read_schema("submission.v2")
    check = compiled({"$ref": "#/$defs/language", "$defs": schema["$defs"]})
    assert check is not None
    assert check(found)


def test_classifiers_have_none() -> None:
    """Nor a warning."""
    plain = {key: value for key, value in answers().items() if "_losses" not in key and "_bytes" not in key}
    assert language_section({"baseline": plain, "optimized": plain}) is None
    assert language_warnings(None) == []
    assert "next token" in language_warnings(section())[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_losses": np.ones((WINDOWS, CONTEXT))}, "expected float32 and int64"),
        ({"test_losses": np.ones((WINDOWS, CONTEXT + 1), np.float32)}, "expected one for each answer"),
        ({"test_losses": np.full((WINDOWS, CONTEXT), np.nan, np.float32)}, "numbers from 0 to 700"),
        ({"test_bytes": np.full(WINDOWS, -1, np.int64)}, "no number of bytes"),
        ({"test_bytes": np.full(WINDOWS, 26, np.int64)}, "other bytes of the test windows"),
    ],
)
def test_a_strangers_losses_are_looked_at(change: Arrays, message: str) -> None:
    """Types, shapes and values, before anything is computed."""
    with pytest.raises(ValueError, match=message):
        language_section({"baseline": answers(), "optimized": answers() | change})


def test_losses_of_one_model_only() -> None:
    """Are no section."""
    one = {key: value for key, value in answers().items() if "_losses" not in key}
    with pytest.raises(ValueError, match="has no validation_losses"):
        language_section({"baseline": answers(), "optimized": one})


@pytest.mark.parametrize(
    ("limit", "status"),
    [
        (("perplexity", "max_increase", 0.03), "met"),
        (("perplexity", "max_increase", 0.01), "not_met"),
        (("perplexity", "at_most", 9.0), "met"),
        (("perplexity", "at_most", 5.0), "not_met"),
    ],
)
def test_goals_are_decided_on_the_test_text(
    candidate: Callable[..., Candidate], limit: tuple[str, str, float], status: str
) -> None:
    """At the bound of the interval; an increase is that of the paired comparison."""
    record = decide(limit, candidate(0, language=section()), "test")
    assert (record["status"], record["split"]) == (status, "test")
    assert record["unit"] == ("share" if limit[1] == "max_increase" else "perplexity")


def test_what_has_no_perplexity_meets_no_goal_for_it(candidate: Callable[..., Candidate]) -> None:
    """It is inconclusive, with the reason."""
    for kind in ("at_most", "max_increase"):
        record = decide(("perplexity", kind, 5.0), candidate(0), "validation", at_estimate=True)
        assert (record["status"], record["reason"]) == ("inconclusive", "there is no perplexity: the data is no text")


def test_a_limit_of_another_metric(candidate: Callable[..., Candidate]) -> None:
    """Is a mistake of whoever calls."""
    with pytest.raises(ValueError, match="max_increase is a limit on perplexity, not on accuracy"):
        decide(("accuracy", "max_increase", 0.1), candidate(0), "test")


def test_without_evidence_the_section_must_agree_with_itself() -> None:
    """What follows from mean losses and counts is computed again; intervals hold their figures."""
    honest = section()
    assert list(disagreements(stated_section({"language": honest}), honest)) == []
    assert stated_section({}) is None
    changed = copy.deepcopy(honest)
    changed["optimized"]["test"] |= {"perplexity": 1.0, "bits_per_byte": 0.1}
    changed["change"]["test"] |= {"ratio": 0.5, "verdict": "significantly better"}
    found = stated_section({"language": changed})
    assert found is not None
    assert list(disagreements(found, honest)) == []
    changed["optimized"]["test"]["interval"] = [1.0, 2.0]
    with pytest.raises(ValueError, match="does not hold"):
        stated_section({"language": changed})
