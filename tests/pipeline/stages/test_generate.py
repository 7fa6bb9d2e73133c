"""The generate stage on two tiny language models: its record, and that evidence gives it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.core.stage import Inputs
from pipeline.measure.generation import with_generate
from pipeline.measure.summary import comparison
from pipeline.schemas import read_schema
from pipeline.stages import generate
from pipeline.submission.evidence import Evidence
from pipeline.submission.rules.restore import processes_of, question_of
from pipeline.submission.rules.texts import parity_of
from tinytorch.core.transformers import GPT
from tinytorch.kernels import native
from tinytorch.models.language_model import LanguageModel
from tinytorch.models.mlp import build as build_mlp

VOCAB = 17
SPEC: dict[str, Any] = {
    "scenario": "generate",
    "batch_sizes": [2],
    "threads": [1],
    "processes": 2,
    "target_ci": 0.5,
    "budget_s": 0.5,
    "threshold": 0.02,
    "wait_s": 0,
    "seed": 3,
    "prompt_tokens": 4,
    "new_tokens": 12,
}


def model(seed: int) -> LanguageModel:
    gpt = GPT(VOCAB, 16, 2, 2, 16, rng=np.random.default_rng(seed))
    gpt.eval()
    return LanguageModel(gpt)


def inputs(optimized: Any = None) -> Inputs:
    ids = np.random.default_rng(0).integers(0, VOCAB, 60).astype(np.int32)
    return Inputs.of(baseline=model(1), optimized=optimized or model(2), sample={"ids": ids})


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return generate.execute(SPEC, inputs())


@pytest.fixture(scope="module")
def record(found: Mapping[str, Any]) -> dict[str, Any]:
    (one,) = found["benchmark"]["comparisons"]
    return dict(one)


def test_the_record_fits_the_schema(record: dict[str, Any]) -> None:
    """As a comparison of a submission."""
    schema = read_schema("submission.v2")
    jsonschema.validate(record, {"$ref": "#/$defs/comparison", "$defs": schema["$defs"]})


def test_samples_are_tokens_after_the_first(record: dict[str, Any]) -> None:
    """Of both texts of a batch, so that the throughput counts decoded tokens."""
    assert record["samples_per_query"] == 2 * 11
    arm = record["arms"]["optimized"]
    assert arm["throughput_per_s"] == pytest.approx(22e9 / arm["mean_ns"])
    assert record["generate"]["arms"]["optimized"]["ttft_ns"] > 0


def test_caches_do_not_change_what_a_model_says(record: dict[str, Any]) -> None:
    """The baseline's cached texts are those without a cache; another model's are not."""
    variants = record["generate"]["variants"]
    same = variants["baseline-float32"]["parity"]
    assert (same["equal_tokens"], same["equal_choices"], same["is_same"]) == (same["tokens"], same["tokens"], True)
    assert variants["baseline-none"]["parity"]["largest_difference"] == 0
    other = variants["optimized-float32"]["parity"]
    assert other["equal_tokens"] < other["tokens"]
    assert not other["is_same"]


def test_every_variant_is_compared_with_the_uncached_baseline(record: dict[str, Any]) -> None:
    """Except itself, which says so; caches have bytes, int8 fewer."""
    variants = record["generate"]["variants"]
    assert [name for name, one in variants.items() if one["speedup"] is None] == ["baseline-none"]
    assert variants["baseline-none"]["reason"] == "it is what the others are compared with"
    sizes = [variants[f"baseline-{cache}"]["cache_bytes"] for cache in ("none", "int8", "float32")]
    assert sizes == sorted(set(sizes))
    assert sizes[0] == 0


def test_evidence_gives_the_record_again(found: Mapping[str, Any], record: dict[str, Any]) -> None:
    """From samples and conditions as a file holds them."""
    conditions = json.loads(json.dumps(found["benchmark"]["conditions"]))
    evidence = Evidence(found["samples"], {}, conditions)
    question, parity = question_of(conditions[0]), parity_of(0, evidence, 12)
    arms = record["arms"]
    memory = {
        arm: {
            "peak_rss_bytes": arms[arm]["peak_rss_bytes"],
            "how": arms[arm]["peak_rss_method"] or arms[arm]["peak_rss_reason"],
        }
        for arm in arms
    }
    quantities = {arm: {key: arms[arm][key] for key in ("quantities", "quantity_reasons")} for arm in arms}
    sessions = {arm: arms[arm]["session"] for arm in ("baseline", "optimized")}
    processes = processes_of(0, evidence)
    busy, waited = conditions[0]["busy_before"], conditions[0]["waited_s"]
    again = comparison(question, processes, busy, memory, quantities, waited, sessions)
    assert with_generate(again, question, processes, parity) == record


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("texts",), 0),
        (("largest_logit",), -1),
        (("variants", "baseline-int8"), {}),
        (("variants", "optimized-none", "skipped"), 3),
        (("variants", "optimized-none", "cache_bytes"), 0.5),
    ],
)
def test_forged_conditions_are_refused(found: Mapping[str, Any], place: tuple[str, ...], value: Any) -> None:
    """A record of another form is no evidence."""
    conditions = json.loads(json.dumps(found["benchmark"]["conditions"]))
    target = conditions[0]["generate"]
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    with pytest.raises(ValueError, match="has "):
        processes_of(0, Evidence(found["samples"], {}, conditions))


@pytest.mark.parametrize(
    "name",
    ["0.parity.reference", "0.parity.optimized-int8.greedy", "0.baseline.1.ttft_ns", "0.optimized-none.0.decode_ns"],
)
def test_missing_or_cut_arrays_are_refused(found: Mapping[str, Any], name: str) -> None:
    """Each list that the record is computed from has to be there, and as long as the others."""
    for changed in ({}, {name: found["samples"][name][:-1]}):
        samples = {key: array for key, array in found["samples"].items() if key != name} | changed
        with pytest.raises(ValueError, match="has "):
            processes_of(0, Evidence(samples, {}, found["benchmark"]["conditions"]))


def test_texts_that_do_not_fit_the_model() -> None:
    """Both numbers, their sum and the model's positions are named."""
    with pytest.raises(UserError, match="4 prompt_tokens and 13 new_tokens, together 17, but the baseline model has"):
        generate.execute({**SPEC, "new_tokens": 13}, inputs())


def test_a_text_shorter_than_a_prompt() -> None:
    """There is nothing to take it from."""
    short = Inputs.of(baseline=model(1), optimized=model(2), sample={"ids": np.zeros(3, np.int32)})
    with pytest.raises(UserError, match="a text of 3 tokens has no prompt of 4"):
        generate.execute(SPEC, short)


def test_other_models_continue_no_texts() -> None:
    """The model's type is named, and what to take."""
    with pytest.raises(UserError, match="the optimized model is a Network") as caught:
        generate.execute(SPEC, inputs(build_mlp((1, 2, 2), 3, np.random.default_rng(0))))
    assert "arch: gpt" in (caught.value.hint or "")


def test_models_may_be_compared_without_a_cache() -> None:
    """The arms then compute every position again, and hold nothing."""
    spec = {**SPEC, "kv_cache": "none", "new_tokens": 3}
    (one,) = generate.execute(spec, inputs())["benchmark"]["comparisons"]
    assert one["generate"]["kv_cache"] == "none"
    session = one["arms"]["baseline"]["session"]
    assert session["instruction_set"] == (native.isa() or "reference")
    assert one["generate"]["variants"]["baseline-none"]["cache_bytes"] == 0
