"""The submit stage: what the other stages hand over becomes a valid submission, and what disagrees is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import InternalError
from pipeline.core.keys import digest_bytes
from pipeline.core.stage import InputArtifact, Inputs
from pipeline.stages import submit
from pipeline.store.codecs import arrays
from pipeline.submission.evidence import unpacked
from pipeline.submission.validate import find_problems

SAMPLE = json.loads((Path(__file__).parents[1] / "report" / "submission.json").read_text(encoding="utf-8"))
SIZES = {"baseline": SAMPLE["size"]["baseline"], "optimized": SAMPLE["size"]["optimized"]}
CORRECT = {"baseline": 351, "optimized": 349}
SPEC = {
    "experiment": SAMPLE["experiment"]["document"],
    "name": "sample",
    "goals": [{"metric": "accuracy", "max_drop": 0.05}],
    "runs": [
        {
            "index": 0,
            "label": "",
            "arch": "mlp",
            "seed": 7,
            "point": {},
            "steps": [{"id": effect["id"], "use": effect["use"], "params": {}} for effect in SAMPLE["effects"]],
        }
    ],
}


def handed_over() -> dict[str, Any]:
    """What the stages of one run would hand over, by role."""
    accuracy = SAMPLE["accuracy"]["optimized"]["test"]
    benchmark = {
        **SAMPLE["benchmark"],
        "measured_at": SAMPLE["measurement"]["measured_at"],
        "machine": SAMPLE["machine"],
        "conditions": [],
    }
    labels = np.zeros(360, dtype=np.int64)
    values: dict[str, Any] = {
        "benchmark.0": benchmark,
        "samples.0": {},
        "profile.0": SAMPLE["profile"],
        "data.info.0": {
            "name": "digits",
            "digest": digest_bytes(b"digits"),
            "classes": ["0", "1"],
            "counts": {"train": 1077, "validation": 360, "test": 360},
        },
        **{f"data.{role}.0": {} for role in ("train", "validation", "test")},
        **{
            f"effect.0.{k}": {name: value for name, value in effect.items() if name not in ("id", "use")}
            for k, effect in enumerate(SAMPLE["effects"])
        },
    }
    for side, correct in CORRECT.items():
        record = {**accuracy, "correct": correct, "accuracy": correct / 360}
        predicted = (np.arange(360) >= correct).astype(np.int64)
        values[f"{side}.0"] = None
        values[f"metrics.{side}.0"] = {**SIZES[side], "validation": record, "test": record}
        values[f"predictions.{side}.0"] = {
            "validation": predicted,
            "test": predicted,
            "validation_labels": labels,
            "test_labels": labels,
        }
    for k in range(len(SAMPLE["effects"]) - 1):  # after each step but the last, whose model is the optimized one
        values[f"predictions.0.{k}"] = values["predictions.baseline.0"]
    epochs = [{"epoch": 1, "train_loss": 0.5, "validation_accuracy": 0.9, "lr": 0.001}]
    values["history.0"] = epochs
    values |= {f"history.0.{k}": [] for k in range(len(SAMPLE["effects"]))}
    return values


def as_inputs(values: dict[str, Any]) -> Inputs:
    """Give every role a digest of its own, and the models their sizes."""
    sizes = {f"{side}.0": size["stored_bytes"] for side, size in SIZES.items()}
    return Inputs(
        {
            role: InputArtifact(digest_bytes(role.encode()), sizes.get(role, 1), lambda value=value: value)
            for role, value in values.items()
        }
    )


def test_a_run_becomes_a_valid_submission() -> None:
    """Digests come from the artifacts, figures from the stages."""
    submission = submit.execute(SPEC, as_inputs(handed_over()))["submission"]
    assert find_problems(submission) == []
    assert submission["provenance"]["weights"]["optimized"] == digest_bytes(b"optimized.0")
    assert submission["provenance"]["samples"] == digest_bytes(b"samples.0")
    assert submission["provenance"]["seeds"] == {"submitted": 7, "tried": [7]}
    assert submission["comparisons"]["accuracy"]["only_baseline_correct"] == 2
    assert submission["optimized"]["model_name"] == "mlp optimized"


def test_versions_name_the_kernels_that_were_timed() -> None:
    """The native ones with their instruction set; NumPy with its BLAS only where it computed a model."""
    values = handed_over()
    versions = submit.execute(SPEC, as_inputs(values))["submission"]["provenance"]["versions"]
    assert versions["kernels"] == "native (avx512vnni)"
    values["benchmark.0"] = json.loads(json.dumps(values["benchmark.0"]).replace("avx512vnni", "reference"))
    versions = submit.execute(SPEC, as_inputs(values))["submission"]["provenance"]["versions"]
    assert versions["kernels"].startswith("numpy (")


def test_models_are_never_decoded() -> None:
    """Their digests and sizes are enough."""

    def fail() -> Any:
        raise AssertionError("a model was decoded")

    inputs = as_inputs(handed_over())
    artifacts = {
        role: InputArtifact(inputs.digest(role), inputs.size(role), lambda v=inputs[role]: v) for role in inputs
    }
    for role in ("baseline.0", "optimized.0", "data.train.0"):
        artifacts[role] = InputArtifact(inputs.digest(role), inputs.size(role), fail)
    assert submit.execute(SPEC, Inputs(artifacts))["submission"]["schema_version"] == 2


def test_the_evidence_is_named_by_its_digest() -> None:
    """Samples and predictions of the chosen point are in the file as they were handed over."""
    values = handed_over()
    values["samples.0"] = {"0.order.0": np.arange(3, dtype=np.int8)}
    made = submit.execute(SPEC, as_inputs(values))
    data = arrays.encode(made["evidence"])
    assert made["submission"]["evidence"] == {
        "file": "evidence.safetensors",
        "digest": digest_bytes(data),
        "size_bytes": len(data),
    }
    found = unpacked(data)
    assert list(found.samples) == ["0.order.0"]
    np.testing.assert_array_equal(
        found.predictions["baseline"]["test"], values["predictions.baseline.0"]["test"], strict=True
    )
    assert found.conditions == []


def test_a_size_that_is_not_the_stored_one_is_refused() -> None:
    """A reported size is always that of stored bytes."""
    values = handed_over()
    values["metrics.optimized.0"]["stored_bytes"] -= 1
    with pytest.raises(InternalError, match="optimized model of run 0"):
        submit.execute(SPEC, as_inputs(values))


def test_predictions_that_disagree_with_the_accuracy_are_refused() -> None:
    """The verdict on accuracy is computed from the very predictions that were counted."""
    values = handed_over()
    values["predictions.baseline.0"]["test"] = np.zeros(360, dtype=np.int64)
    with pytest.raises(InternalError, match="baseline predictions"):
        submit.execute(SPEC, as_inputs(values))


def test_a_run_without_profile_has_none() -> None:
    """A missing part is null, not made up."""
    values = handed_over()
    del values["profile.0"]
    assert submit.execute(SPEC, as_inputs(values))["submission"]["profile"] is None


def test_the_model_is_named_by_its_runs_architecture() -> None:
    """A sweep can vary it, so the run says it."""
    spec = {**SPEC, "runs": [{**SPEC["runs"][0], "arch": "resnet"}]}
    submission = submit.execute(spec, as_inputs(handed_over()))["submission"]
    assert submission["baseline"]["model_name"] == "resnet"


def test_points_that_failed_and_a_search_are_told_as_they_are() -> None:
    """They stand beside the points, and the document is valid by its schema and rules."""
    failed = {
        "index": 1,
        "label": "bits=8",
        "seed": 0,
        "point": {"bits": 8},
        "node": "train mlp",
        "reason": "no memory",
    }
    search = {
        "strategy": "tpe",
        "seed": 3,
        "trials": 4,
        "repeated": 1,
        "objectives": ["minimize size_bytes"],
        "sampler": "optuna 5.0.0",
        "rungs": [],
    }
    account = {"failed": [failed], "search": search}
    submission = submit.execute({**SPEC, **account}, as_inputs(handed_over()))["submission"]
    assert {key: submission["selection"][key] for key in account} == account
    assert find_problems(submission) == []


def test_a_failed_point_has_an_index_of_its_own() -> None:
    """A point that has a result cannot have failed."""
    submission = submit.execute(SPEC, as_inputs(handed_over()))["submission"]
    failed = {"index": 0, "label": "", "seed": 7, "point": {}, "node": "train mlp", "reason": "no memory"}
    submission["selection"]["failed"] = [failed]
    assert [problem.yaml_path for problem in find_problems(submission)] == ["selection.failed[0].index"]
