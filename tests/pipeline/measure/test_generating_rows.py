"""How much a process of the scenario generate times at most, whatever the budget, and what it does not time."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.measure import generate_worker, generating
from pipeline.measure.generating import Demand, Once, time_arms, time_variants

PROMPTS = [np.zeros((2, 4), np.int32)]
DEMAND = Demand(new_tokens=3, kv_cache="float32", arms_s=60.0, variants_s=60.0, variants=("baseline-none",))


class Quick:
    """Answers at once."""

    def begin(self, prompts: np.ndarray) -> np.ndarray:
        """Return scores of two texts."""
        return np.zeros((len(prompts), 5), np.float32)

    def step(self, tokens: np.ndarray) -> np.ndarray:
        """Return scores of two texts."""
        return np.zeros((len(tokens), 5), np.float32)


def test_rows_and_rounds_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small model is continued very often in a minute; a submission may hold so many samples and no more."""
    monkeypatch.setattr(generating, "_MOST_ROWS", 6)
    rows = time_arms([[Quick(), Quick(), Quick()]], PROMPTS, DEMAND, 0, 0)  # type: ignore[list-item]
    assert len(rows.wall_ns) == len(rows.ttft_ns) == len(rows.order) == 6
    timed = time_variants({"baseline-none": Quick()}, PROMPTS, DEMAND, 0)  # type: ignore[dict-item]
    assert {name: len(times) for name, times in timed.times["baseline-none"].items()} == {"ttft_ns": 6, "decode_ns": 6}


@pytest.mark.parametrize(
    ("decode_s", "said"),
    [
        ([0.001], None),
        ([5.0, 0.3, 0.001], None),  # a pause of the machine
        ([0.5, 0.4, 0.2], "a generation takes about 2.1 s, and budget_s leaves each process 1 s"),
    ],
)
def test_a_variant_is_too_slow_if_it_always_is(
    decode_s: list[float], said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first token of 0.1 s and ten more; one quick trial of a few is enough."""
    trials = iter(decode_s)
    tokens = np.zeros((2, 2), np.intp)
    monkeypatch.setattr(
        generate_worker, "generated", lambda *_: Once(100_000_000, round(next(trials) * 1e9), 1, tokens)
    )
    assert generate_worker._too_slow(Quick(), PROMPTS[0], 11, 1e9) == said  # type: ignore[arg-type]
    assert next(trials, None) is None
