"""What may be said of peers, from samples that are made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.measure.peer_summary import PeerTimes, judged, location, raw_samples

ARMS = ("optimized", "control", "baseline", "quick", "alike", "slow")
FACTORS = (1.0, 1.0, 1.5, 0.3, 1.002, 4.0)
QUESTIONS = [("quick", "optimized"), ("alike", "optimized"), ("slow", "optimized"), ("slow", "baseline")]


def process(seed: int, factors: tuple[float, ...] = FACTORS, spread: float = 0.002, **changes: Any) -> dict[str, Any]:
    """A process in which calls take 50 µs times the factor of the arm, and the clock of CPU time agrees."""
    rng = np.random.default_rng(seed)
    rows, loops = 48, 10
    noise = np.exp(rng.normal(0, spread, (rows, len(ARMS))) + rng.normal(0, spread / 2, len(ARMS)))
    wall = (50_000 * np.array(factors) * noise * loops).astype(int)
    return {
        "arms": list(ARMS),
        "wall_ns": wall.tolist(),
        "cpu_ns": wall.tolist(),
        "empty_ns": 0,
        "loops": loops,
        "is_cpu_time_fine": True,
        "copy": (np.arange(rows) // 16).tolist(),
        "order": [list(range(len(ARMS)))] * rows,
        **changes,
    }


def times(*processes: dict[str, Any]) -> list[PeerTimes]:
    return [PeerTimes.of(each, 1) for each in processes]


def test_verdicts_are_said_of_our_side() -> None:
    """A peer that takes a third of the time makes ours slower; ratios are its time over ours."""
    control, is_noisy, answers = judged(times(*map(process, range(5))), QUESTIONS, 0.02, 0)
    assert not is_noisy
    assert control.estimate == pytest.approx(1, abs=0.01)
    assert [answer["verdict"] for answer in answers] == ["slower", "equivalent", "faster", "faster"]
    estimates = [answer["ratio"]["estimate"] for answer in answers]
    assert estimates == pytest.approx([0.3, 1.002, 4.0, 4.0 / 1.5], rel=0.01)


def test_the_control_can_forbid_every_claim() -> None:
    """Identical code that differs by 10 % makes all of it noisy."""
    shifted = [process(seed, (1.0, 1.1, 1.5, 0.3, 1.0, 4.0)) for seed in range(5)]
    _, is_noisy, answers = judged(times(*shifted), QUESTIONS, 0.02, 0)
    assert is_noisy
    assert {answer["verdict"] for answer in answers} == {"noisy"}


def test_a_small_error_of_the_control_widens_every_interval() -> None:
    """Within the threshold it is room for error, not noise."""
    exact, shifted = (
        judged(times(*[process(seed, (1.0, shift, *FACTORS[2:])) for seed in range(5)]), QUESTIONS, 0.02, 0)
        for shift in (1.0, 1.015)
    )
    widths = [[np.log(a["ratio"]["interval"][1] / a["ratio"]["interval"][0]) for a in r[2]] for r in (exact, shifted)]
    assert not shifted[1]
    assert all(wide > narrow + 0.02 for narrow, wide in zip(*widths, strict=True))


def test_claims_are_corrected_for_their_number() -> None:
    """Of many peers a claim needs more evidence than of one."""
    few = times(*[process(seed, (1.0, 1.0, 1.0, 1.08, 1.0, 1.0), 0.012) for seed in range(3)])
    alone = judged(few, QUESTIONS[:1], 0.02, 0)[2][0]
    many = judged(few, QUESTIONS[:1] + QUESTIONS[1:2] * 9, 0.02, 0)[2][0]
    assert alone["ratio"] == many["ratio"]
    assert many["adjusted_p_value"] == pytest.approx(10 * alone["adjusted_p_value"])
    assert (alone["verdict"], many["verdict"]) == ("faster", "inconclusive")


def test_nothing_asked_is_nothing_answered() -> None:
    """If all outputs differ, the control is all there is."""
    _, is_noisy, answers = judged(times(*map(process, range(3))), [], 0.02, 0)
    assert (is_noisy, answers) == (False, [])


def test_interrupted_samples_are_left_out() -> None:
    """Where the clock of CPU time stood still, a row says nothing of its pair; with several threads it cannot tell."""
    disturbed = process(0)
    wall = np.array(disturbed["wall_ns"])
    wall[::4, 3] *= 3
    disturbed["wall_ns"] = wall.tolist()
    assert len(PeerTimes.of(disturbed, 1).pair("quick", "optimized")[0]) == 36
    assert len(PeerTimes.of(disturbed, 2).pair("quick", "optimized")[0]) == 48
    assert len(PeerTimes.of(disturbed, 1).pair("slow", "optimized")[0]) == 48


def test_too_few_undisturbed_pairs_make_it_noisy() -> None:
    """All pairs are taken then, and nothing is claimed."""
    disturbed = [process(seed, cpu_ns=np.zeros((48, len(ARMS)), int).tolist()) for seed in range(3)]
    _, is_noisy, answers = judged(times(*disturbed), QUESTIONS, 0.02, 0)
    assert is_noisy
    assert {answer["verdict"] for answer in answers} == {"noisy"}


def test_the_location_is_over_processes() -> None:
    """The median over processes of their medians lies in its interval."""
    found = location(times(*map(process, range(7))), "quick")
    assert found["n"] == 7 * 48
    assert found["median_ns"] == pytest.approx(15_000, rel=0.01)
    assert found["interval_ns"][0] <= found["median_ns"] <= found["interval_ns"][1]


def test_every_sample_is_kept() -> None:
    """By process, with the order and the copy."""
    arrays = raw_samples([process(0), process(1)])
    assert sorted(arrays) == sorted(f"{p}.{name}" for p in (0, 1) for name in ("wall_ns", "cpu_ns", "order", "copy"))
    assert arrays["1.wall_ns"].shape == (48, len(ARMS))
