"""What a cached model answers beside the uncached one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from pipeline.measure.model import AnswersDiffer
from pipeline.measure.parity import check_tokens, read_variant, reference
from tinytorch.core.function import no_grad
from tinytorch.core.transformers import GPT

NEW = 6


@pytest.fixture(scope="module")
def gpt() -> GPT:
    model = GPT(13, 8, 2, 2, 12, rng=np.random.default_rng(0))
    model.eval()
    return model


@pytest.fixture(scope="module")
def prompts() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 13, (3, 5))


def test_the_reference_is_what_generate_gives_without_a_cache(gpt: GPT, prompts: np.ndarray) -> None:
    """Drafted with a cache, confirmed without one."""
    with no_grad():
        found = reference(gpt, prompts, NEW)
        expected = gpt.generate(prompts, NEW, temperature=0, cache=None).data[:, 5:]
    np.testing.assert_array_equal(found.tokens, expected)
    assert [scores.shape for scores in found.scores] == [(NEW, 13)] * 3


def test_a_wrong_draft_is_replaced(gpt: GPT, prompts: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that always answers 0 slows the reference down and changes nothing."""
    with no_grad():
        expected = reference(gpt, prompts, NEW).tokens
        nothing = lambda self, tokens: np.zeros((1, 13), np.float32)  # noqa: E731
        monkeypatch.setattr("pipeline.measure.parity.Generation.step", nothing)
        np.testing.assert_array_equal(reference(gpt, prompts, NEW).tokens, expected)


@pytest.mark.parametrize(("cache", "most"), [("none", 0.0), ("float32", 1e-5), ("int8", 0.05)])
def test_a_kind_of_cache_beside_the_reference(gpt: GPT, prompts: np.ndarray, cache: str, most: float) -> None:
    """Scores differ by rounding, more so where keys and values are rounded."""
    with no_grad():
        truth = reference(gpt, prompts, NEW)
        found = read_variant(gpt, cache, prompts, truth, truth, 1)
    assert found.difference <= most
    assert (found.difference > 0) == (cache == "int8" or found.difference > 0)
    assert found.forced.shape == found.greedy.shape == truth.tokens.shape
    if cache != "int8":
        np.testing.assert_array_equal(found.greedy, truth.tokens)
        np.testing.assert_array_equal(found.forced, truth.tokens)


def test_tokens_that_were_not_the_best_are_found(gpt: GPT, prompts: np.ndarray) -> None:
    """The position and by how much its score is behind are named."""
    with no_grad():
        tokens = reference(gpt, prompts, NEW).tokens
        check_tokens("optimized", gpt, prompts, tokens, rounded=False)
        tokens[1, 3] = (tokens[1, 3] + 1) % 13
        with pytest.raises(AnswersDiffer, match=r"optimized: token [4-6] after a prompt was timed as \d+, whose score"):
            check_tokens("optimized", gpt, prompts, tokens, rounded=False)


def test_scores_that_are_no_numbers_are_refused(gpt: GPT, prompts: np.ndarray) -> None:
    """Nothing equals them, so that every parity would be a lie."""
    broken = GPT(13, 8, 1, 2, 12, rng=np.random.default_rng(0))
    broken.ln_f.gamma.data[:] = np.nan
    with no_grad(), pytest.raises(AnswersDiffer, match="not finite"):
        reference(broken, prompts, 2)


def test_readings_are_json(gpt: GPT, prompts: np.ndarray) -> None:
    """Tokens of all texts are one list."""
    with no_grad():
        truth = reference(gpt, prompts, 2)
        record = read_variant(gpt, "none", prompts, truth, truth, 1).to_json()
    assert {field.name for field in dataclasses.fields(truth)} == {"largest", "scores", "tokens"}
    assert record["greedy"] == truth.tokens.ravel().tolist()
