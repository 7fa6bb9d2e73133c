"""How far a submission in a file is to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import SubmissionInvalid
from pipeline.measure.job import ARMS
from pipeline.measure.serving import server_record
from pipeline.measure.summary import Question, measured_under, raw_arrays
from pipeline.store.codecs import arrays as codec
from pipeline.submission.evidence import FILE, Evidence
from pipeline.submission.rules.agree import disagreements
from pipeline.submission.rules.restore import processes_of, question_of
from pipeline.submission.rules.table import RULES
from pipeline.submission.trust import trust_in

Honest = tuple[dict[str, Any], dict[str, np.ndarray]]


def test_evidence_beside_a_submission_makes_it_recomputed(honest: Honest, tmp_path: Path) -> None:
    """Without the file it is valid; a file of that name elsewhere does not count."""
    document, arrays = honest
    path = tmp_path / "submission.json"
    assert trust_in(document, path) == "valid"
    (tmp_path / FILE).write_bytes(codec.encode(arrays))
    assert trust_in(document, path) == "recomputed"
    assert trust_in(document, tmp_path / "other" / "submission.json") == "valid"


def test_problems_name_the_rule_the_place_and_the_values(honest: Honest, tmp_path: Path) -> None:
    """So that a person can ask what the rule says, and look."""
    document, _ = honest
    document["improvements"]["speedup"] = 9.0
    with pytest.raises(SubmissionInvalid, match="breaks R026") as caught:
        trust_in(document, tmp_path / "submission.json")
    (problem,) = caught.value.problems
    assert (problem.code, problem.yaml_path) == ("R026", "improvements.speedup")
    assert problem.message.startswith("found 9.0, expected 1.7")


def test_a_server_is_restored_with_its_rates() -> None:
    """As its worker process wrote them, latencies from the samples; a rate of nothing needs a reason."""
    question = Question("server", 1, 1, 2, 0.05, 10.0, 0.02, seed=0, latency_limit_ms=5.0)
    processes = [_served(number) for number in range(2)]
    evidence = Evidence(raw_arrays(0, question, processes), {}, [measured_under(question, processes, [0.0, 0.0])])
    record = server_record(5.0, None, processes)
    assert server_record(5.0, None, processes_of(0, evidence)) == record
    assert question_of(evidence.conditions[0]) == question
    evidence.conditions[0]["server"][1]["arms"]["optimized"]["rate_per_s"] = None
    with pytest.raises(ValueError, match="server of process 1"):
        processes_of(0, evidence)


def _served(number: int) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    found = {"rate_per_s": 90.0 + number, "reason": None, "trials": 9, "over": 0, "call_ns": 900.0, "most_per_s": 300.0}
    wall = rng.integers(300_000, 310_000, (20, 3)).tolist()
    return {
        "copies": 1,
        "loops": 3,
        "empty_ns": 30,
        "windows": 2,
        "steady": True,
        "first": "baseline",
        "cold_ns": 9_000,
        "order": [[0, 1, 2]] * 20,
        "copy": [0] * 20,
        "wall_ns": wall,
        "cpu_ns": wall,
        "tail_ns": [[], [], []],
        "is_cpu_time_fine": True,
        "conditions": {
            "pinned": None,
            "hash_seed": "0",
            "quota": None,
            "gauges": {"elapsed_s": 1.0, "others": 0.0, "stolen": 0.0, "paused": None, "pauses": None},
        },
        "server": {
            "queries": 700,
            "arms": {
                arm: {**found, "latency_ns": rng.integers(1, 10**6, 700).tolist(), "served_ns": 10**9} for arm in ARMS
            },
        },
    }


def test_last_digits_do_not_matter() -> None:
    """Processors and versions of numpy round differently; types, texts and keys are exact."""
    assert list(disagreements({"a": [1.0, 2]}, {"a": (1.0 + 1e-12, 2.0)})) == []
    found = {"a": True, "b": "x", "c": [1], "d": 0, "e": 1.0}
    places = [path for path, _ in disagreements(found, {"a": 1, "b": "y", "c": [1, 2], "e": 1.00001, "f": None})]
    assert places == [("d",), ("a",), ("b",), ("c",), ("e",), ("f",)]


def test_every_rule_is_explained_in_sentences() -> None:
    """Each has an id of its form and an explanation that ends."""
    assert all(len(rule) == 4 and rule[0] == "R" and rule[1:].isdigit() for rule in RULES)
    assert all(text.endswith(".") for text in RULES.values())


def test_arrays_of_other_than_numbers_are_no_evidence(honest: Honest, tmp_path: Path) -> None:
    """A complex number is not compared, converted or rounded: the file is refused."""
    document, arrays = honest
    name = next(name for name in arrays if name.startswith("samples."))
    arrays[name] = arrays[name].astype(np.complex64)
    (tmp_path / FILE).write_bytes(codec.encode(arrays))
    with pytest.raises(SubmissionInvalid) as caught:
        trust_in(document, tmp_path / "submission.json")
    assert any("of complex64, expected numbers" in problem.message for problem in caught.value.problems)
