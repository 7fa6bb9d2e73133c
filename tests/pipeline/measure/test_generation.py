"""From the times and tokens of continued texts to a comparison's record; what was not timed has its reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipeline.measure.generation import (
    REFERENCE,
    VARIANTS,
    about_the_variants,
    draw_prompts,
    generate_record,
    timed_options,
    variants_timed,
)
from pipeline.measure.summary import Question

SLOW = "a generation takes about 9 s, and budget_s leaves each process 2 s"
NAMES = [f"{model}-{cache}" for model, cache in VARIANTS]
QUESTION = Question(
    "generate", 2, 1, 3, 0.01, 20.0, 0.02, 0, samples_per_query=8, prompt_tokens=4, new_tokens=5, kv_cache="float32"
)


def parity(skipped: tuple[str, ...] = (), **greedy: list[int]) -> dict[str, Any]:
    """Return what variants answered: the reference's tokens unless given."""
    truth = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    return {
        "reference": truth,
        "texts": 2,
        "largest_logit": 4.0,
        "variants": {
            name: {
                "computed_by": "avx2" if name.endswith("float32") else "numpy",
                "reference_reason": None if name.endswith("float32") else "no kernel",
                "cache_bytes": 10,
                "largest_difference": 2e-5 if name == "baseline-int8" else 0.0,
                "skipped": SLOW if name in skipped else None,
                "greedy": greedy.get(name.replace("-", "_"), truth),
                "forced": truth,
            }
            for name in NAMES
        },
    }


def processes(skipped: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return three processes in which each variant is half as slow as the one before."""
    found = []
    for number in range(3):
        times = {
            name: {"ttft_ns": [1000 + number] * 4, "decode_ns": [8000 // 2**place + number] * 4}
            for place, name in enumerate(NAMES)
            if name not in skipped
        }
        found.append({"generate": {"ttft_ns": [[4000 + number, 2000, 4000]] * 6, "variants": times}})
    return found


def test_rates_are_of_the_tokens_after_the_first() -> None:
    """Of both texts of the batch: four steps of two tokens."""
    record = generate_record(QUESTION, processes(), parity())
    one = record["variants"]["baseline-float32"]
    assert one["tpot_ns"] == pytest.approx(4001 / 4)
    assert one["tokens_per_s"] == pytest.approx(2e9 / one["tpot_ns"])
    low, high = one["tokens_interval_per_s"]
    assert low <= one["tokens_per_s"] <= high
    assert one["speedup"]["estimate"] == pytest.approx(2, rel=1e-3)


def test_the_first_token_is_compared_row_by_row() -> None:
    """Baseline over optimized, and the prompts' tokens by that time."""
    record = generate_record(QUESTION, processes(), parity())
    assert record["ttft_speedup"]["estimate"] == pytest.approx(4001 / 2000)
    assert record["arms"]["optimized"]["prefill_tokens_per_s"] == pytest.approx(8 * 1e9 / 2000)


def test_what_is_too_slow_has_no_times() -> None:
    """But its answers; without the reference no variant has a ratio, and each says why."""
    record = generate_record(QUESTION, processes((REFERENCE,)), parity((REFERENCE,)))
    reference, other = record["variants"][REFERENCE], record["variants"]["optimized-int8"]
    assert (reference["tokens_per_s"], reference["n"], reference["reason"]) == (None, None, SLOW)
    assert reference["parity"]["equal_tokens"] == 10
    assert other["tokens_per_s"] > 0
    assert other["speedup"] is None
    assert "the uncached baseline was not timed: a generation takes" in other["reason"]


def test_equal_tokens_are_counted() -> None:
    """One other token in the text continued alone; scores within rounding of float32 are the same."""
    found = parity(optimized_int8=[1, 2, 3, 4, 0, 6, 7, 8, 9, 10])
    variants = generate_record(QUESTION, processes(), found)["variants"]
    assert [variants["optimized-int8"]["parity"][key] for key in ("equal_tokens", "equal_choices")] == [9, 10]
    assert variants["optimized-int8"]["parity"]["is_same"]
    other = variants["baseline-int8"]["parity"]
    assert other["relative_difference"] == pytest.approx(5e-6)
    assert other["is_same"]  # 1e-5 of 4.0


def test_warnings_name_what_is_slow_or_left_out() -> None:
    """Each by itself."""
    said = about_the_variants(parity(("optimized-none",)))
    assert said[0] == f"the optimized model with no cache was not timed: {SLOW}"
    assert "the baseline model with a cache of int8 is decoded by NumPy: no kernel" in said
    assert "the baseline model with no cache is decoded by NumPy: no kernel" in said
    assert not [text for text in said if "float32 is decoded" in text]


def test_a_process_is_asked_for_what_is_quick_enough() -> None:
    """Most of its time is for what the speed-up is of."""
    options = timed_options(5, "int8", 20.0, 4, parity((REFERENCE,)))
    assert options["variants"] == NAMES[1:] == variants_timed(parity((REFERENCE,)))
    assert options["arms_s"] > options["variants_s"] > 0
    assert options["arms_s"] + options["variants_s"] == pytest.approx(4.0)


def test_prompts_are_from_the_text() -> None:
    """The same under a seed; a text as long as a prompt has one place."""
    ids = np.arange(50, dtype=np.int32)
    prompts = draw_prompts(ids, 3, 6, seed=1)
    assert prompts.shape[1:] == (3, 6)
    assert np.all(np.diff(prompts, axis=-1) == 1)
    np.testing.assert_array_equal(prompts, draw_prompts(ids, 3, 6, seed=1))
    assert len(np.unique(draw_prompts(ids[:6], 3, 6, seed=1).reshape(-1, 6), axis=0)) == 1
    with pytest.raises(ValueError, match="a text of 5 tokens has no prompt of 6"):
        draw_prompts(ids[:5], 3, 6, seed=1)
