"""What may be said of work that was done in two frameworks, from samples that are made up."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.measure.framework_record import LIMITS, bounds, difference, is_answered
from tests.compared import QUESTION, checked, processes, row


def test_times_ratio_and_what_bounds_both() -> None:
    """1 MB at 100 GB/s takes 10 µs: the 50 µs of ours are over four times that."""
    found = row(2.0)
    assert found["ratio"]["estimate"] == pytest.approx(2.0, rel=0.01)
    ours, theirs = found["frameworks"]["tinytorch"], found["frameworks"]["torch"]
    assert ours["median_ns"] == pytest.approx(50_000, rel=0.01)
    assert (ours["bound"], theirs["bound"]) == ("overhead", "overhead")
    assert ours["share_of_limit"] == pytest.approx(0.2, rel=0.01)
    assert not found["noisy"]


@pytest.mark.parametrize(
    ("operations", "moved", "word"), [(1_000, 4_000_000, "memory"), (8_000_000, 1_000, "compute"), (1, 1, "overhead")]
)
def test_the_slower_limit_bounds(operations: int, moved: int, word: str) -> None:
    """Unless neither explains the time."""
    work = {"operations": operations, "moved_bytes": moved, "working_set_bytes": moved}
    assert row(work=work)["frameworks"]["tinytorch"]["bound"] == word


def test_bandwidth_is_that_of_the_working_set() -> None:
    """What is moved ten times counts ten times, but lies where it has room once."""
    balance = checked()["balance"]
    work = {"operations": 1, "moved_bytes": 10_000_000, "working_set_bytes": 1_000_000}
    assert bounds(work, balance, is_integer=False)["gbps"] == 100.0
    assert bounds(work | {"working_set_bytes": 10_000_000}, balance, is_integer=False)["gbps"] == 20.0
    assert bounds(work | {"working_set_bytes": 2**40}, balance, is_integer=False)["gbps"] == 20.0


def test_integers_have_a_peak_of_their_own() -> None:
    """Not the one of float32 products."""
    balance = {**checked()["balance"], "peak_int8_gops": 800.0}
    assert bounds(checked()["work"], balance, is_integer=True)["peak_gops"] == 800.0


def test_without_a_peer_ours_stands_alone() -> None:
    """The ratio is null, and it is said why."""
    found = row(None)
    assert (found["ratio"], found["reason"]) == (None, "torch is not installed")
    assert list(found["frameworks"]) == ["tinytorch"]


def test_identical_code_that_differs_makes_it_noisy() -> None:
    """The control is a second copy of ours."""
    assert row(control=1.1)["noisy"]


@pytest.mark.parametrize("torch", [2.0, None])
def test_it_is_answered_when_the_interval_is_narrow(torch: float | None) -> None:
    """With a peer, and without."""
    assert is_answered(QUESTION, torch is not None, processes(torch))
    wide = QUESTION.__class__(**{**QUESTION.__dict__, "target_ci": 1e-6})
    assert not is_answered(wide, torch is not None, processes(torch))


@pytest.mark.parametrize("kind", LIMITS)
def test_outputs_that_differ_are_named(kind: str) -> None:
    """With what was found and what is allowed; NaN and infinity are never the same."""
    outputs: dict[str, Any] = {"max_abs_difference": LIMITS[kind] * 3, "largest_output": 2.0}
    assert "allowed" in str(difference(outputs, kind))
    assert difference(outputs | {"largest_output": 4.0}, kind) is None
    assert "infinity or NaN" in str(difference(outputs | {"max_abs_difference": None}, kind))
    assert "infinity or NaN" in str(difference(outputs | {"largest_output": None}, kind))
