"""How far a submission in a file is to be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import SubmissionInvalid
from pipeline.store.codecs import arrays as codec
from pipeline.submission.evidence import FILE
from pipeline.submission.rules.agree import disagreements
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
