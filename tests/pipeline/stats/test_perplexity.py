"""Perplexities and their intervals."""

import math

import numpy as np
import pytest

from pipeline.stats.perplexity import perplexity_change, perplexity_record

BYTES = np.full(40, 20, np.int64)


def losses(mean=2.0, windows=40, context=10, seed=0, spread=0.5):
    """Return random losses around a mean, never negative."""
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(mean, spread, (windows, context)), 0).astype(np.float32)


def correlated(rng, windows, memory):
    """Return losses of windows that resemble their neighbours, with mean 3."""
    noise, found = rng.standard_normal(windows + 50) * 0.3, np.zeros(windows + 50)
    for i in range(1, len(found)):
        found[i] = memory * found[i - 1] + noise[i]
    return (3 + found[50:, None]).astype(np.float32)


def test_it_is_e_to_the_mean_loss():
    """Uniform guessing among 8 tokens hesitates among 8, with 3 bits a token."""
    record = perplexity_record(np.full((4, 5), math.log(8), np.float32), np.full(4, 10, np.int64))
    assert record["perplexity"] == pytest.approx(8, rel=1e-6)
    assert record["interval"] == pytest.approx([8, 8], rel=1e-6)
    assert record["bits_per_byte"] == pytest.approx(3 * 20 / 40, rel=1e-6)
    assert (record["tokens"], record["windows"], record["batches"], record["bytes"]) == (20, 4, 4, 40)


def test_nobody_knows_the_bytes_of_unknown_tokens():
    """Without bytes there are no bits per byte."""
    assert perplexity_record(losses(), np.zeros(40, np.int64))["bits_per_byte"] is None


def test_the_interval_holds_the_estimate_and_is_the_same_again():
    """No random numbers are drawn."""
    record = perplexity_record(losses(), BYTES)
    assert record["interval"][0] < record["perplexity"] < record["interval"][1]
    assert record == perplexity_record(losses(), BYTES)


@pytest.mark.parametrize("memory", [0.0, 0.6])
def test_intervals_cover_though_neighbours_resemble_each_other(memory):
    """Of 300 texts at least 88 % hold the truth; with windows taken as independent it would be 67 %."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        low, high = perplexity_record(correlated(rng, 200, memory), np.ones(200, np.int64))["interval"]
        held += low <= math.exp(3) <= high
    assert held / 300 > 0.88


def test_a_paired_change_is_surer_than_two_intervals():
    """What is hard for both models does not count."""
    before = losses(spread=1.0)
    after = before + losses(0.01, seed=1, spread=0.002)
    change = perplexity_change(before, after)
    assert change["ratio"] == pytest.approx(math.exp(0.01), rel=1e-3)
    assert change["verdict"] == "significantly worse"
    first, second = perplexity_record(before, BYTES)["interval"], perplexity_record(after, BYTES)["interval"]
    assert first[0] < second[0] < first[1]  # they overlap, and would say nothing


def test_the_verdict_is_that_of_the_interval():
    """The same model is no change, the other way round is better."""
    before = losses()
    assert perplexity_change(before, before)["verdict"] == "no significant change"
    assert perplexity_change(before, before)["interval"] == [1.0, 1.0]
    assert perplexity_change(before + np.float32(0.1), before)["verdict"] == "significantly better"


@pytest.mark.parametrize(
    "bad",
    [
        np.ones((1, 5)),
        np.ones(5),
        np.ones((3, 0)),
        np.full((3, 2), np.nan),
        np.full((3, 2), -1.0),
        np.full((3, 2), 1e4),
    ],
)
def test_what_is_no_losses(bad):
    """One window, another shape, and numbers that no loss has."""
    with pytest.raises(ValueError, match="losses"):
        perplexity_record(bad, np.ones(len(bad), np.int64))


def test_losses_of_other_windows_are_not_paired():
    """Shapes must agree."""
    with pytest.raises(ValueError, match="are not paired"):
        perplexity_change(losses(), losses(windows=41))
