"""Forgeries that agree with themselves, every figure and digest computed from what was forged: all come to light.

Each passes the rules, as it would on the day that it is handed in; running it again names what is not as stated.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import SubmissionInvalid
from pipeline.stats.accuracy import accuracy_record
from pipeline.submission.trust import trust_in
from pipeline.submission.validate import find_problems
from pipeline.submission.verification import Check, outcome_of
from tests.pipeline.verify.conftest import Forger, Verify
from tinytorch.serialization import dumps

Forgery = Callable[[Forger], None]


def change_a_weight(forger: Forger) -> None:
    """Move one weight of the optimized model, and evaluate what comes out."""
    model = forger[f"optimized.{forger.chosen}"]
    layer = dict(model.named_layers())["fc_out"]
    layer.state()["bias"][3] += 0.25
    forger.put(f"optimized.{forger.chosen}", model, "model")
    forger.evaluate("optimized", forger.chosen)


def train_on_the_test_split(forger: Forger) -> None:
    """Train on the very items that the accuracy is counted on."""
    forger.train_on("test")


def declare_less_training(forger: Forger) -> None:
    """Say that the baseline was trained for one epoch."""
    document = copy.deepcopy(forger.spec["experiment"])
    document["model"]["train"]["epochs"] = 1
    forger.spec["experiment"] = document


def give_better_answers(forger: Forger) -> None:
    """Write the right answer where the optimized model was wrong."""
    role = f"predictions.optimized.{forger.chosen}"
    answers = {name: array.copy() for name, array in forger[role].items()}
    wrong = np.flatnonzero(answers["test"] != answers["test_labels"])[:12]
    answers["test"][wrong] = answers["test_labels"][wrong]
    forger.put(role, answers, "arrays")
    metrics = copy.deepcopy(forger[f"metrics.optimized.{forger.chosen}"])
    correct = int((answers["test"] == answers["test_labels"]).sum())
    metrics["test"] = accuracy_record(correct, len(answers["test"]))
    forger.put(f"metrics.optimized.{forger.chosen}", metrics, "json")


def ask_easier_questions(forger: Forger) -> None:
    """Call what the optimized model answers the right answer, for both models and all points."""
    for index in range(2):
        for side in ("baseline", "optimized"):
            answers = {name: array.copy() for name, array in forger[f"predictions.{side}.{index}"].items()}
            answers["test_labels"] = forger[f"predictions.optimized.{forger.chosen}"]["test"].copy()
            correct = int((answers["test"] == answers["test_labels"]).sum())
            metrics = copy.deepcopy(forger[f"metrics.{side}.{index}"])
            metrics["test"] = accuracy_record(correct, len(answers["test"]))
            forger.put(f"predictions.{side}.{index}", answers, "arrays")
            forger.put(f"metrics.{side}.{index}", metrics, "json")


def claim_a_smaller_file(forger: Forger) -> None:
    """Halve the stored file, wherever its size is written."""
    i = forger.chosen
    metrics = copy.deepcopy(forger[f"metrics.optimized.{i}"])
    last = max(int(role.rpartition(".")[2]) for role in forger.artifacts if role.startswith(f"effect.{i}."))
    effect = copy.deepcopy(forger[f"effect.{i}.{last}"])
    size = metrics["stored_bytes"] // 2
    metrics["stored_bytes"] = effect["stored_bytes_after"] = size
    forger.put(f"metrics.optimized.{i}", metrics, "json")
    forger.put(f"effect.{i}.{last}", effect, "json")
    forger.put(f"optimized.{i}", forger[f"optimized.{i}"], "model", size=size)


def worsen_another_point(forger: Forger) -> None:
    """Make another point look worse on validation, as if the rule had to choose the submitted one."""
    index = 1 - forger.chosen
    answers = {name: array.copy() for name, array in forger[f"predictions.optimized.{index}"].items()}
    answers["validation"][:] = (answers["validation_labels"] + 1) % 10
    metrics = copy.deepcopy(forger[f"metrics.optimized.{index}"])
    metrics["validation"] = accuracy_record(0, len(answers["validation"]))
    forger.put(f"predictions.optimized.{index}", answers, "arrays")
    forger.put(f"metrics.optimized.{index}", metrics, "json")


def leave_out_a_point(forger: Forger) -> None:
    """List the submitted point as the only one that was tried."""
    forger.spec["runs"] = [run for run in forger.spec["runs"] if run["index"] == forger.chosen]


def call_a_point_a_failure(forger: Forger) -> None:
    """Say that another point had no result, so that it took no part in the choice."""
    (other,) = (run for run in forger.spec["runs"] if run["index"] != forger.chosen)
    kept = {key: other[key] for key in ("index", "label", "seed", "point")}
    forger.spec["failed"] = [{**kept, "node": "train", "reason": "the machine had no memory left"}]
    leave_out_a_point(forger)


def slow_the_baseline_down(forger: Forger) -> None:
    """Multiply what the baseline took, and its control, by four."""

    def change(name: str, array: np.ndarray) -> np.ndarray:
        is_time = name.endswith(("wall_ns", "cpu_ns", "tail_ns")) and "optimized" not in name
        return array * 4 if is_time else array

    forger.measure(change)


def shorten_all_times(forger: Forger) -> None:
    """Divide all times: the ratio stays, and limits in milliseconds are kept."""

    def change(name: str, array: np.ndarray) -> np.ndarray:
        return np.maximum(array // 5, 1) if name.endswith(("wall_ns", "cpu_ns", "tail_ns")) else array

    forger.measure(change)
    clock = copy.deepcopy(forger[f"benchmark.{forger.chosen}"])
    clock["clock"]["resolution_ns"] = 1  # or the samples are too short for it
    forger.put(f"benchmark.{forger.chosen}", clock, "json")


# (what is forged, the checks that name it, where); without a measurement where none is needed
FORGERIES: list[tuple[Forgery, set[str], str]] = [
    (change_a_weight, {"V030"}, "fc_out.bias"),
    (train_on_the_test_split, {"V030", "V032", "V033"}, "tensors are different"),
    (declare_less_training, {"V030", "V032"}, "tensors are different"),
    (give_better_answers, {"V032", "V033"}, "12 of 359 answers"),
    (ask_easier_questions, {"V032", "V033"}, "labels"),
    (claim_a_smaller_file, {"V034", "V035"}, "stored_bytes"),
    (worsen_another_point, {"V021"}, "accuracy.validation"),
    (leave_out_a_point, {"V021"}, "no such point"),
    (call_a_point_a_failure, {"V021"}, "but here the point has a result"),
]
OF_SPEED: list[tuple[Forgery, set[str], str]] = [
    (slow_the_baseline_down, {"V050"}, "below the stated interval"),
    (shorten_all_times, {"V051"}, "more than 3 times faster than here"),
]


def differing(checks: list[Check]) -> tuple[set[str], str]:
    wrong = [check for check in checks if check.outcome == "differs"]
    return {check.id for check in wrong}, "; ".join(check.message for check in wrong)


def is_recomputed(path: Path) -> bool:
    """Tell whether a submission passes its schema and all rules."""
    document = json.loads(path.read_text())
    try:
        return find_problems(document) == [] and trust_in(document, path) == "recomputed"
    except SubmissionInvalid as error:
        pytest.fail("; ".join(f"{problem.code} {problem.yaml_path}: {problem.message}" for problem in error.problems))


@pytest.mark.parametrize(("forge", "ids", "where"), FORGERIES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_forgery_that_agrees_with_itself_is_caught(
    forge: Forgery, ids: set[str], where: str, forger: Forger, verify: Verify, tmp_path: Path
) -> None:
    """The rules find nothing, and running it again names what was forged."""
    forge(forger)
    path = forger.write(tmp_path / "forged")
    assert is_recomputed(path)
    found, messages = differing(verify(path))
    assert ids <= found
    assert where in messages


@pytest.mark.parametrize(("forge", "ids", "where"), OF_SPEED, ids=lambda value: getattr(value, "__name__", ""))
def test_forged_times_are_caught_by_measuring(
    forge: Forgery, ids: set[str], where: str, forger: Forger, verify: Verify, tmp_path: Path
) -> None:
    """Samples that nobody measured are no models' times."""
    forger.measure_quietly()
    measured = forger.comparisons()
    forge(forger)
    path = forger.write(tmp_path / "forged")
    assert is_recomputed(path)
    found, messages = differing(verify(path, measured))
    assert found == ids
    assert where in messages


def test_honest_times_agree(forger: Forger, verify: Verify, tmp_path: Path) -> None:
    """What is measured again as it was stated makes the submission reproduced."""
    forger.measure_quietly()
    path = forger.write(tmp_path / "honest")
    checks = verify(path, forger.comparisons())
    assert outcome_of(checks) == "reproduced"


def test_only_the_submitted_point_may_be_asked_for(forger: Forger, verify: Verify, tmp_path: Path) -> None:
    """Then the others are skipped, and what was forged of them stays in the dark."""
    worsen_another_point(forger)
    forger.measure_quietly()
    checks = verify(forger.write(tmp_path / "forged"), forger.comparisons(), only_submitted=True)
    assert {check.id for check in checks if check.outcome == "skipped"} == {"V021", "V040"}
    assert outcome_of(checks) == "reproduced"


def test_an_honest_submission_is_the_same_to_the_last_bit(forger: Forger, verify: Verify, tmp_path: Path) -> None:
    """What nobody forged has no difference, and all that can be compared exactly is the same."""
    path = forger.write(tmp_path / "honest")
    assert is_recomputed(path)
    checks = verify(path)
    assert {check.outcome for check in checks if check.id != "V050"} == {"same"}
    assert outcome_of(checks) == "inconclusive"  # for want of a measurement


def test_digests_of_tensors_that_were_not_forged_tell_on_the_file(
    forger: Forger, verify: Verify, tmp_path: Path
) -> None:
    """Who forgets the tensors' digests is told that they are not those of the file that he states."""
    change_a_weight(forger)
    role = f"metrics.optimized.{forger.chosen}"
    honest = forger.honest["provenance"]["tensors"]["optimized"]
    forger.put(role, {**forger[role], "tensors": honest}, "json")
    found, messages = differing(verify(forger.write(tmp_path / "forged")))
    assert "V030" in found
    assert "not the digests of the stated file" in messages


def test_another_experiment_gives_another_model(forger: Forger, verify: Verify, tmp_path: Path) -> None:
    """A document whose steps are others than those that were taken is no experiment of this submission."""
    document = copy.deepcopy(forger.spec["experiment"])
    document["optimize"][0]["prune"]["sparsity"] = 0.75
    forger.spec["experiment"] = document
    found, _ = differing(verify(forger.write(tmp_path / "forged")))
    assert {"V030", "V034", "V035"} <= found


def test_the_model_file_beside_it_is_compared_value_by_value(forger: Forger, verify: Verify, tmp_path: Path) -> None:
    """Where the model lies beside the submission, the place and both values are named."""
    change_a_weight(forger)
    path = forger.write(tmp_path / "forged")
    (path.parent / "optimized.safetensors").write_bytes(dumps(forger[f"optimized.{forger.chosen}"]))
    checks = {check.id: check for check in verify(path)}
    assert checks["V031"].outcome == "differs"
    assert checks["V031"].message.startswith("fc_out.bias[3] is ")
