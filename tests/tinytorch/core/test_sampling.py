"""Choosing the next token."""

import numpy as np
import pytest

from tinytorch.core.sampling import Sampling

LOGITS = np.log(np.array([[0.5, 0.2, 0.2, 0.1], [0.1, 0.1, 0.1, 0.7]], np.float32))


def test_greedy_takes_the_first_best():
    """Temperature 0, without any random number."""
    assert Sampling(0.0).choose(np.array([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]])).tolist() == [1, 0]
    np.testing.assert_array_equal(Sampling(0.0).probabilities(LOGITS)[1], [0, 0, 0, 1])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5, 0.2, 0.2, 0.1]),
        ({"temperature": 0.5}, np.array([25, 4, 4, 1]) / 34),
        ({"top_k": 2}, [5 / 7, 2 / 7, 0, 0]),
        ({"top_k": 99}, [0.5, 0.2, 0.2, 0.1]),
        ({"top_p": 0.6}, [5 / 7, 2 / 7, 0, 0]),
        ({"top_p": 0.01}, [1, 0, 0, 0]),
        ({"top_p": 1.0}, [0.5, 0.2, 0.2, 0.1]),
        ({"top_k": 3, "top_p": 0.6}, [5 / 7, 2 / 7, 0, 0]),
        ({"temperature": 1e-9}, [1, 0, 0, 0]),
    ],
)
def test_probabilities(settings, expected):
    """Temperature, the k best (of equals the first), and the fewest that reach p."""
    np.testing.assert_allclose(Sampling(**settings).probabilities(LOGITS)[0], expected, atol=1e-6)


@pytest.mark.parametrize("k", range(1, 7))
def test_the_k_best_of_many_equals(k):
    """Exactly k tokens stay, those that a stable sort puts first."""
    logits = np.random.default_rng(k).integers(0, 3, (50, 6)).astype(np.float32)
    p = Sampling(top_k=k).probabilities(logits)
    kept = [set(np.argsort(-row, kind="stable")[:k].tolist()) for row in logits]
    assert [set(np.flatnonzero(row).tolist()) for row in p] == kept


def test_draws_follow_the_probabilities():
    """40,000 draws are within 0.01 of them; the same seed gives the same, and so does NumPy's global one."""
    rows = np.repeat(LOGITS[:1], 40_000, axis=0)
    drawn = Sampling(top_k=3).choose(rows, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 40_000, [5 / 9, 2 / 9, 2 / 9, 0], atol=0.01)
    np.testing.assert_array_equal(drawn, Sampling(top_k=3).choose(rows, np.random.default_rng(0)))
    results = []
    for _ in range(2):
        np.random.seed(3)
        results.append(Sampling().choose(rows).tolist())
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("temperature", value) for value in (-1.0, float("nan"), float("inf"))],
        *[("top_k", value) for value in (0, 1.5, True, "3")],
        *[("top_p", value) for value in (0.0, 1.1, float("nan"))],
    ],
)
def test_values_out_of_range_are_named(name, value):
    """Every setting is checked when it is made."""
    with pytest.raises(ValueError, match=name):
        Sampling(**{name: value})


def test_scores_that_are_no_numbers():
    """NaN is an error, greedy or not, instead of a token."""
    for temperature in (0.0, 1.0):
        with pytest.raises(ValueError, match="NaN"):
            Sampling(temperature).choose(np.array([[0.0, np.nan]]))
