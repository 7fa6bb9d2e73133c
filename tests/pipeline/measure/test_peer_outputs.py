"""When outputs count as the same."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.measure.peer_outputs import LIMITS, compare_outputs

OURS = np.random.default_rng(0).normal(size=(200, 10)).astype(np.float32)


@pytest.mark.parametrize("precision", LIMITS)
def test_equal_outputs_are_the_same(precision: str) -> None:
    """With no difference at all."""
    found = compare_outputs(OURS, OURS, precision)
    assert (found["same"], found["max_abs_difference"], found["top1_agreement"]) == (True, 0.0, 1.0)


def test_rounding_is_allowed_to_quantized_networks_only() -> None:
    """Half a percent of the largest output is rounding of integers, but no float32 result."""
    moved = OURS + np.float32(0.005) * np.abs(OURS).max()
    assert compare_outputs(moved, OURS, "int8")["same"]
    assert not compare_outputs(moved, OURS, "fp32")["same"]


def test_other_answers_are_not_the_same() -> None:
    """However small the differences are."""
    ours = np.zeros((100, 2), np.float32)
    ours[:, 0] = 1
    ties = ours.copy()
    ours[:10, 1], ties[:10, 1] = 1 - 1e-6, 1 + 1e-6
    found = compare_outputs(ties, ours, "int8")
    assert found["top1_agreement"] == pytest.approx(0.9)
    assert not found["same"]


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_is_never_the_same(wrong: float) -> None:
    """And it is null, which JSON can hold."""
    broken = OURS.copy()
    broken[3, 3] = wrong
    found = compare_outputs(broken, OURS, "int8")
    assert (found["same"], found["max_abs_difference"]) == (False, None)


def test_another_shape_is_not_the_same() -> None:
    """It is compared with nothing."""
    assert not compare_outputs(OURS[:, :5], OURS, "int8")["same"]
