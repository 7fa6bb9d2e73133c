"""The framework stage: real work in both frameworks, a little of each kind."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.core.frameworks import case_title
from pipeline.core.stage import Inputs
from pipeline.stages import framework, frameworks
from pipeline.submission.frameworks import frameworks_problems

TIMING: dict[str, Any] = {"threads": 1, "processes": 2, "target_ci": 0.9, "budget_s": 0.1, "threshold": 0.02}
DECODE = {"layers": 1, "width": 16, "heads": 2, "vocabulary": 20, "context": 12}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("linear", {"inputs": 16, "outputs": 8, "bits": 8, "batch_size": 2}),
    ("train_mlp", {"widths": [8, 6, 4], "batch_size": 2}),
    ("decode", {**DECODE, "bits": 32}),
]


def execute(op: str, args: dict[str, Any], torch: str | None, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(framework, "_PHASES", framework.Phases(0.02, 0.02, 0.0))
    spec = {"op": op, "args": args, "torch": torch, **TIMING, "seed": 0, "wait_s": 0.0}
    return framework.execute(spec, Inputs.of())


def gathered(op: str, args: dict[str, Any], row: dict[str, Any], torch: str | None) -> dict[str, Any]:
    cases, titles = [{"op": op, "args": args}], [case_title(op, args)]
    head = {"name": "x", "description": "", "document": {}, "cases": cases, "titles": titles, "torch": torch}
    found: dict[str, Any] = frameworks.execute({**head, **TIMING}, Inputs.of(**{"row.0": row}))["frameworks"]
    return found


@pytest.mark.parametrize(("op", "args"), CASES[1:])
def test_both_frameworks_compute_the_same(op: str, args: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """And the record of it is valid."""
    pytest.importorskip("torch")
    found = execute(op, args, "2", monkeypatch)
    row = found["row"]
    assert row["reason"] is None
    assert (
        row["outputs"]["max_abs_difference"] <= row["outputs"]["allowed_difference"] * row["outputs"]["largest_output"]
    )
    assert row["frameworks"].keys() == {"tinytorch", "torch"}
    assert found["samples"]["0.wall_ns"].shape[1] == 3
    assert frameworks_problems(gathered(op, args, row, "2"), "x") == []


def test_without_pytorch_ours_is_timed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and what to install."""
    op, args = CASES[0]
    row = execute(op, args, None, monkeypatch)["row"]
    assert "pip install" in row["reason"]
    assert (row["ratio"], row["outputs"], list(row["frameworks"])) == (None, None, ["tinytorch"])
    found = gathered(op, args, row, None)
    assert frameworks_problems(found, "x") == []
    assert found["counts"] == {"not_compared": 1}


def test_outputs_that_differ_are_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another limit stands for another result."""
    pytest.importorskip("torch")
    monkeypatch.setattr(framework, "difference", lambda outputs, kind: "outputs differ")
    row = execute(*CASES[0], "2", monkeypatch)["row"]
    assert (row["reason"], row["ratio"]) == ("outputs differ", None)
    assert list(row["frameworks"]) == ["tinytorch"]
