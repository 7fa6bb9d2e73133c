"""How many processes a comparison gets, with real, very short processes."""

import dataclasses

import numpy as np
import pytest

from pipeline.measure.job import Phases
from pipeline.measure.sampling import Material, collect
from pipeline.measure.summary import Question, comparison, raw_arrays
from tinytorch.models import mlp
from tinytorch.serialization import save

PHASES = Phases(warmup_s=0.02, service_s=0.05, latency_s=0.01)
QUESTION = Question("single_stream", 1, 1, 2, target_ci=10.0, budget_s=60.0, threshold=0.02, seed=3)


@pytest.fixture
def material(tmp_path):
    """A small model twice, and queries."""
    found = Material(tmp_path / "a", tmp_path / "b", tmp_path / "queries.npy", tmp_path)
    for path in (found.baseline, found.optimized):
        save(mlp.build((1, 4, 4), 3, np.random.default_rng(0), hidden=[8]), path)
    np.save(found.queries, np.random.default_rng(1).standard_normal((8, 1, 1, 4, 4)).astype(np.float32))
    return found


def test_stops_when_precise_enough(material):
    """With a target that any interval meets, exactly the asked number of processes runs, sharing the loops."""
    found = collect(QUESTION, material, PHASES)
    assert len(found.processes) == len(found.busy) == 2
    assert len({process["loops"] for process in found.processes}) == 1
    assert [process["conditions"]["hash_seed"] for process in found.processes] == ["3000", "3001"]
    assert found.memory.keys() == {"baseline", "optimized"}


def test_adds_processes_until_the_budget_is_spent(material):
    """A target that no interval meets adds processes beyond those asked for, then gives up and says so."""
    question = dataclasses.replace(QUESTION, target_ci=1e-9, budget_s=3.0)
    found = collect(question, material, PHASES)
    assert len(found.processes) > 2
    warnings = comparison(question, found.processes, found.busy, found.memory)["warnings"]
    assert any("the budget of 3 s is spent" in text for text in warnings)


def test_a_tiny_budget_still_gives_an_interval(material):
    """However small the budget, three processes run: fewer give no interval worth reading."""
    found = collect(dataclasses.replace(QUESTION, processes=6, budget_s=0.01), material, PHASES)
    assert len(found.processes) == 3


def test_a_model_against_itself_is_never_different(material):
    """The same model in both arms is equivalent, or nothing is said, but never faster or slower."""
    found = collect(dataclasses.replace(QUESTION, processes=4), material, PHASES)
    record = comparison(QUESTION, found.processes, found.busy, found.memory)
    assert record["verdict"] in {"equivalent", "inconclusive", "noisy"}
    assert set(raw_arrays(0, QUESTION, found.processes)["0.baseline.3.kept"]) <= {0, 1}
