"""A cheater with a language model: perplexities, times to first token, variants and what they answered."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipeline.stats.perplexity import CHANGES
from pipeline.submission.rules.table import RULES
from pipeline.submission.trust import broken
from pipeline.submission.validate import find_problems
from tests.pipeline.submission.rules.test_tampering import (
    COMPARED,
    NOW,
    Arrays,
    Change,
    copied,
    more,
    put,
    rules_broken,
    scaled,
    seal,
    set_array,
    set_conditions,
)

Honest = tuple[dict[str, Any], Arrays]

GENERATE = f"{COMPARED}.generate"
IN_THE_DOCUMENT: list[tuple[str, str, Any]] = [
    ("R029", f"{GENERATE}.arms.optimized.ttft_ns", scaled(0.9)),
    ("R029", f"{GENERATE}.arms.optimized.prefill_tokens_per_s", scaled(2.0)),
    ("R029", f"{GENERATE}.ttft_speedup.estimate", scaled(1.01)),
    ("R029", f"{GENERATE}.variants.optimized-int8.tokens_per_s", scaled(2.0)),
    ("R029", f"{GENERATE}.variants.optimized-int8.tpot_interval_ns", scaled(0.9)),
    ("R029", f"{GENERATE}.variants.optimized-int8.speedup.estimate", scaled(1.1)),
    ("R029", f"{GENERATE}.variants.optimized-int8.parity.equal_tokens", more(1)),
    ("R029", f"{GENERATE}.variants.optimized-int8.parity.is_same", True),
    ("R029", f"{GENERATE}.variants.optimized-none.reason", "it was slow"),
    ("R029", f"{GENERATE}.variants.baseline-int8.cache_bytes", 1),
    ("R037", "language.optimized.test.perplexity", scaled(1.001)),
    ("R037", "language.optimized.validation.interval", scaled(1.001)),
    ("R037", "language.optimized.test.bits_per_byte", scaled(0.5)),
    ("R037", "language.change.test.ratio", scaled(0.99)),
    ("R037", "language.change.test.verdict", lambda found: next(word for word in CHANGES if word != found)),
    ("R037", "language.change.validation.agreement", 1.0),
    ("R040", "constraints[0].measured", 0.0),
    ("R041", "selection.points[1].perplexity.validation", 1.0),
    ("R028", "experiment.document.benchmark.new_tokens", 64),
    ("R028", "experiment.document.benchmark.kv_cache", "int8"),
]


def without_perplexities(document: dict[str, Any], arrays: Arrays) -> None:
    del document["language"]
    for point in document["selection"]["points"]:
        del point["perplexity"]
    for name in [name for name in arrays if name.endswith(("_losses", "_bytes"))]:
        del arrays[name]


def without_that_of_others(document: dict[str, Any], arrays: Arrays) -> None:
    del document["selection"]["points"][0]["perplexity"]


def measured_after_all(found: dict[str, Any]) -> dict[str, Any]:
    variants = found["variants"]
    return {**found, "variants": {**variants, "optimized-none": {**variants["optimized-none"], "skipped": None}}}


def of_all(change: Any) -> Change:
    """Change the times of all variants in a process."""

    def changed(document: dict[str, Any], arrays: Arrays) -> None:
        for name in arrays:
            if name.startswith(("samples.0.baseline-", "samples.0.optimized-")) and ".1." in name:
                arrays[name] = change(arrays[name])

    return changed


TIMES, LOSSES = "samples.0.{}.1.{}_ns", "predictions.optimized.test_losses"
IN_THE_EVIDENCE: dict[str, tuple[str, Change]] = {
    "no perplexities": ("R037", without_perplexities),
    "no perplexities of other points": ("R041", without_that_of_others),
    "losses that right answers cannot have": ("R037", set_array(LOSSES, lambda a: np.maximum(a, np.float32(2.4)))),
    "losses that wrong answers cannot have": ("R037", set_array(LOSSES, lambda a: np.minimum(a, np.float32(0.6)))),
    "losses that are none": ("R011", set_array(LOSSES, lambda a: a * np.float32(np.nan))),
    "losses of float64": ("R011", set_array(LOSSES, lambda a: a.astype(np.float64))),
    "losses of other windows": ("R011", set_array(LOSSES, lambda a: a.reshape(-1, 20))),
    "more bytes": ("R011", set_array("predictions.optimized.test_bytes", lambda a: a * 2)),
    "faster tokens": ("R029", set_array(TIMES.format("optimized-int8", "decode"), lambda a: a // 2)),
    "tokens in no time": ("R013", set_array(TIMES.format("optimized-int8", "decode"), lambda a: a // 20_000)),
    "tokens that stand still": ("R012", set_array(TIMES.format("optimized-int8", "decode"), lambda a: a * 0 + a[0])),
    "a variant as another": (
        "R012",
        copied(TIMES.format("baseline-int8", "decode"), TIMES.format("optimized-int8", "decode")),
    ),
    "first tokens twice": ("R012", copied(TIMES.format("baseline", "ttft"), TIMES.format("control", "ttft"))),
    "negative times": ("R011", set_array(TIMES.format("optimized", "ttft"), lambda a: -a)),
    "fewer rounds of one": ("R011", set_array(TIMES.format("optimized-int8", "ttft"), lambda a: a[1:])),
    "more rounds than anybody times": ("R011", of_all(lambda a: np.resize(a, 20_001))),
    "another reference": ("R011", set_array("samples.0.parity.reference", lambda a: a + 1)),
    "texts more alike": (
        "R029",
        copied("samples.0.parity.baseline-none.greedy", "samples.0.parity.optimized-int8.greedy"),
    ),
    "what was not timed": ("R011", set_conditions("generate", measured_after_all)),
    "other texts": ("R011", set_conditions("generate", lambda found: {**found, "texts": 10**9})),
    "scores that are none": ("R011", set_conditions("generate", lambda found: {**found, "largest_logit": np.nan})),
}


def test_an_honest_language_model_breaks_no_rule(honest_texts: Honest) -> None:
    """Neither with its evidence nor without."""
    document, arrays = honest_texts
    before = json.dumps(document, sort_keys=True)
    data = seal(document, arrays)
    assert json.dumps(document, sort_keys=True) == before
    assert find_problems(document) == []
    assert list(broken(document, data, NOW)) == []
    assert list(broken(document, None, NOW)) == []


@pytest.mark.parametrize(("rule", "place", "value"), IN_THE_DOCUMENT, ids=[row[1] for row in IN_THE_DOCUMENT])
def test_a_changed_figure_of_texts_is_rejected(rule: str, place: str, value: Any, honest_texts: Honest) -> None:
    """The schema allows it; the rule that it breaks is named."""
    document, arrays = honest_texts
    put(document, place, value)
    data = seal(document, arrays)
    assert find_problems(document) == []
    assert rule in rules_broken(document, data)
    assert rule in RULES


@pytest.mark.parametrize("name", IN_THE_EVIDENCE)
def test_changed_evidence_of_texts_is_rejected(name: str, honest_texts: Honest) -> None:
    """Whatever else stays as it was."""
    document, arrays = honest_texts
    rule, change = IN_THE_EVIDENCE[name]
    change(document, arrays)
    data = seal(document, arrays)
    assert rule in rules_broken(document, data)


def test_figures_beyond_reason_are_summed(honest_texts: Honest) -> None:
    """Two seeds of one point, each with the largest number there is, break rules and nothing else."""
    document, arrays = honest_texts
    points = document["selection"]["points"]
    points[0]["point"] = points[1]["point"]
    for point in points:
        point["perplexity"]["validation"] = 1.7e308
    document["experiment"]["document"]["goals"][-1] = {"minimize": "perplexity"}
    assert {"R041"} <= rules_broken(document, seal(document, arrays))
