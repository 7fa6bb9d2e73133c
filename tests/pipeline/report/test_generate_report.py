"""What reports show of texts that are continued: rates with and without caches, parity in words, reasons for gaps."""

from __future__ import annotations

import copy
from typing import Any

import altair
import pytest

from pipeline.report.charts import CHARTS, drawable
from pipeline.report.generate import generating
from pipeline.report.headline import headline, scenario_text
from pipeline.report.html import render as html
from pipeline.report.markdown import render as markdown
from pipeline.report.material import make_material
from pipeline.report.terminal import render as terminal
from pipeline.report.view import make_view
from pipeline.submission.validate import find_problems

RATIO = {"estimate": 2.0, "interval": [1.9, 2.1], "confidence": 0.95, "method": "paired", "per_process": [2.0, 2.0]}
SKIPPED = "a generation takes about 20 s, and budget_s leaves each process 2 s"


def variant(name: str, rate: float | None, equal: int) -> dict[str, Any]:
    """Return the record of a model with a kind of cache."""
    is_reference = name == "baseline-none"
    is_cached = not name.endswith("none")
    reason = SKIPPED if rate is None else "it is what the others are compared with" if is_reference else None
    return {
        "computed_by": "numpy" if name.endswith("int8") else "avx2",
        "reference_reason": "the kernels read a cache of float32" if name.endswith("int8") else None,
        "cache_bytes": 4096 * is_cached,
        "parity": {
            "tokens": 64,
            "equal_tokens": equal,
            "equal_choices": min(equal + 10, 64),
            "largest_difference": 0.0 if is_reference else 1e-6,
            "relative_difference": 0.0 if is_reference else 1e-7,
            "is_same": equal == 64,
        },
        "n": rate and 12,
        "ttft_ns": rate and 2e6,
        "ttft_interval_ns": rate and [1.9e6, 2.1e6],
        "tpot_ns": rate and 1e9 / rate,
        "tpot_interval_ns": rate and [0.9e9 / rate, 1.1e9 / rate],
        "tokens_per_s": rate,
        "tokens_interval_per_s": rate and [0.9 * rate, 1.1 * rate],
        "speedup": None if is_reference or rate is None else RATIO,
        "reason": reason,
    }


@pytest.fixture
def document(submission: dict[str, Any]) -> dict[str, Any]:
    """Return the submission as one of the scenario generate; the optimized model was too slow without a cache."""
    found = copy.deepcopy(submission)
    comparison = found["benchmark"]["comparisons"][0]
    for record in (comparison, found["comparisons"]["speed"]):
        record.update(scenario="generate", samples_per_query=15)
    arm = {"n": 20, "ttft_ns": 2e6, "ttft_interval_ns": [1.9e6, 2.1e6], "prefill_tokens_per_s": 4000.0}
    rates = {"none": 300.0, "float32": 9000.0, "int8": 1500.0}
    variants = {
        **{f"baseline-{cache}": variant(f"baseline-{cache}", rate, 64) for cache, rate in rates.items()},
        "optimized-none": variant("optimized-none", None, 50),
        **{f"optimized-{cache}": variant(f"optimized-{cache}", 2 * rates[cache], 50) for cache in ("float32", "int8")},
    }
    comparison["generate"] = {
        "prompt_tokens": 8,
        "new_tokens": 16,
        "kv_cache": "float32",
        "texts": 4,
        "largest_logit": 10.0,
        "arms": {"baseline": arm, "optimized": {**arm, "ttft_ns": 1e6}, "control": arm},
        "ttft_speedup": RATIO,
        "variants": variants,
    }
    return found


def test_it_fits_the_schema(document: dict[str, Any]) -> None:
    """Whatever else its changed figures break."""
    assert not [problem for problem in find_problems(document) if problem.code == "E502" and "generate" in str(problem)]


def test_the_headline_is_tokens_per_second(document: dict[str, Any]) -> None:
    """And the scenario says how long texts are, and what keeps earlier tokens."""
    comparison = document["benchmark"]["comparisons"][0]
    assert headline(comparison).name == "tokens per second"
    assert scenario_text(comparison) == (
        "generate (prompts of 8 tokens are continued by 16, with a cache of float32), judged by tokens per second "
        "after the first"
    )


def test_rows_of_time(document: dict[str, Any]) -> None:
    """The speed-up stands beside the rate; the first token has a ratio of its own."""
    rows = {figure.name: figure for figure in make_view(document).figures}
    assert {"tokens per second", "time to first token", "time per token after it", "15 tokens, median"} <= rows.keys()
    assert str(rows["time to first token"].change.text).startswith("2.00x")


def test_every_variant_is_a_row(document: dict[str, Any]) -> None:
    """What was not timed is a dash, with the reason below; equal tokens are counted, never rounded to all."""
    found = generating(document)
    texts = {row.texts[:2]: row.texts for row in found.rows}
    assert len(texts) == 6
    assert texts["optimized", "none"][2:4] == ("–", "–")
    assert texts["baseline", "float32"][6] == "all of 64"
    assert texts["optimized", "int8"][6] == "50 of 64"
    assert f"– optimized, none: {SKIPPED}" in found.notes
    assert any("by NumPy: the kernels read a cache of float32" in note for note in found.notes)


def test_sentences_say_what_it_comes_to(document: dict[str, Any]) -> None:
    """A cache that changes scores is not called the same."""
    said = " ".join(generating(document).sentences)
    assert "A cache of float32 alone makes the baseline 2.00x [1.90, 2.10] as fast" in said
    assert "the baseline says the same: all of 64 tokens" in said
    assert "chooses 60 of 64 when given the same text" in said
    document["benchmark"]["comparisons"][0]["generate"]["variants"]["baseline-float32"]["parity"]["is_same"] = False
    assert "more than rounding of float32" in " ".join(generating(document).sentences)


def test_what_other_code_gains_is_not_the_caches(document: dict[str, Any]) -> None:
    """Where one of both is computed by NumPy, the sentence says so."""
    document["benchmark"]["comparisons"][0]["generate"]["variants"]["baseline-none"]["computed_by"] = "numpy"
    said = " ".join(generating(document).sentences)
    assert "A cache of float32, decoded by avx2 and not numpy, makes the baseline 2.00x [1.90, 2.10] as fast" in said


def test_of_a_noisy_comparison_nothing_is_claimed(document: dict[str, Any]) -> None:
    """Neither in a sentence nor by a colour; what was answered stands."""
    document["benchmark"]["comparisons"][0]["noisy"] = True
    found = generating(document)
    said = " ".join(found.sentences)
    assert "The machine was too restless: nothing may be claimed from these times." in said
    assert "as fast" not in said
    assert "the baseline says the same: all of 64 tokens" in said
    assert {row.tone for row in found.rows} == {""}


def test_a_difference_without_meaning_has_no_colour(document: dict[str, Any]) -> None:
    """Within the threshold that the verdict on speed has; beyond it on either side it has one."""
    comparison = document["benchmark"]["comparisons"][0]
    wanted = {(1.005, 1.02): "", (1.03, 1.05): "good", (0.9, 0.95): "bad", (0.985, 0.995): ""}
    for interval, tone in wanted.items():
        ratio = {**RATIO, "estimate": sum(interval) / 2, "interval": list(interval)}
        comparison["generate"]["variants"]["optimized-int8"]["speedup"] = ratio
        assert generating(document).rows[-1].tone == tone


@pytest.mark.parametrize("render", [html, markdown, terminal])
def test_all_reports_show_it(document: dict[str, Any], render: Any) -> None:
    """Title, rates and parity, in each layout."""
    text = render(document)
    for wanted in ("Texts continued by 16 tokens", "tokens per second", "9,000/s", "all of 64"):
        assert wanted in text.replace("&nbsp;", " ")


def test_the_chart_has_what_was_timed(document: dict[str, Any]) -> None:
    """Five of six variants; in other scenarios there is no chart."""
    material = make_material(document, None)
    rows = drawable(material)["generate"]
    assert [(row["model"], row["cache"]) for row in rows if row["model"] == "optimized"] == [
        ("optimized", "float32"),
        ("optimized", "int8"),
    ]
    altair.Chart.from_dict(CHARTS["generate"].draw(rows, 400))
    del document["benchmark"]["comparisons"][0]["generate"]
    assert "generate" not in drawable(make_material(document, None))
