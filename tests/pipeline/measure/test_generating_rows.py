"""How much a process of the scenario generate times at most, whatever the budget."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.measure import generating
from pipeline.measure.generating import Demand, time_arms, time_variants

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
