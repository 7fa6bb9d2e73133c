"""What `plan` says of a search before it runs."""

from __future__ import annotations

import pytest

pytest.importorskip("optuna", minversion="5.0")

from pathlib import Path

from pipeline.cli.space import search_document, search_text
from pipeline.config.build import build
from pipeline.config.load import loads
from pipeline.run import prepare
from pipeline.store.local import LocalStore

FILE = """\
name: x
data: {name: synthetic}
model: {arch: mlp}
vars: {sparsity: 0.5, bits: 8}
optimize: [{prune: {sparsity: "${sparsity}"}}, {quantize: {bits: "${bits}"}}]
goals: [{maximize: accuracy}, {minimize: size_bytes}]
seeds: [0, 1]
sweep: {search: SEARCH}
"""
AXES = "axes: {sparsity: {uniform: [0.2, 0.8]}, bits: {choice: [8, 4]}, model.train.lr: {log_uniform: [0.001, 0.1]}}"


def told(search: str, folder: Path) -> tuple[str, dict[str, object]]:
    experiment = build(loads(FILE.replace("SEARCH", f"{{{search}, {AXES}}}")))
    store = LocalStore(folder)
    plan, _ = prepare(experiment, store)
    text, document = search_text(experiment, plan), search_document(experiment, plan)
    store.close()
    assert document is not None
    return text, document


def test_the_space_is_shown(tmp_path: Path) -> None:
    """Strategy, seed, objectives, trials, and the range of every axis."""
    text, document = told("strategy: nsga2, trials: 20, seed: 3", tmp_path)
    assert text.splitlines() == [
        "searched by nsga2 (seed 3) to maximize accuracy, minimize size_bytes: 20 trials in rounds of 10; "
        "0 of 20 known so far",
        "  bits            one of 8, 4",
        "  model.train.lr  0.001 to 0.1, logarithmic",
        "  sparsity        0.2 to 0.8",
    ]
    assert (document["trials"], document["most_points"], document["known"]) == (20, 40, 0)


def test_the_rounds_of_halving_are_shown(tmp_path: Path) -> None:
    """How many points are to have how much."""
    text, document = told(
        "strategy: halving, trials: 9, resource: {axis: model.train.epochs, min: 1, max: 9}", tmp_path
    )
    first = (
        "searched by halving (seed 0) to maximize accuracy: points by model.train.epochs: 9 with 1, 3 with 3, 1 with 9"
    )
    assert text.splitlines()[0] == f"{first}; 0 of 13 known so far"
    assert document["most_points"] == 26


def test_a_list_of_points_is_no_search(tmp_path: Path) -> None:
    """Nothing is said of one."""
    experiment = build(loads(FILE.replace("{search: SEARCH}", "{}")))
    store = LocalStore(tmp_path)
    plan, _ = prepare(experiment, store)
    store.close()
    assert search_text(experiment, plan) == ""
    assert search_document(experiment, plan) is None
