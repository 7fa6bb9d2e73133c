"""How many processes a comparison gets, with real, very short processes."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.measure import sampling
from pipeline.measure.job import ARMS, Phases
from pipeline.measure.quantities import QUANTITIES
from pipeline.measure.quiet import Patience, Place
from pipeline.measure.sampling import Material, collect, wants_more
from pipeline.measure.summary import Question, comparison, raw_arrays, speedup_and_control
from tinytorch.models import mlp
from tinytorch.serialization import save

PHASES = Phases(warmup_s=0.02, service_s=0.05, latency_s=0.01)
# Any interval meets the target, any control the threshold, and the budget is for hours: as many processes as asked for.
QUESTION = Question("single_stream", 1, 1, 2, target_ci=10.0, budget_s=10_000.0, threshold=10.0, seed=3)


@pytest.fixture
def material(tmp_path):
    """A small model twice, and queries."""
    found = Material(tmp_path / "a", tmp_path / "b", tmp_path / "queries.npy", tmp_path)
    for path in (found.baseline, found.optimized):
        save(mlp.build((1, 4, 4), 3, np.random.default_rng(0), hidden=[8]), path)
    np.save(found.queries, np.random.default_rng(1).standard_normal((8, 1, 1, 4, 4)).astype(np.float32))
    return found


def test_stops_when_precise_enough(material):
    """With a target that any interval meets, exactly the asked number of processes runs."""
    found = collect(QUESTION, material, PHASES)
    assert len(found.processes) == len(found.busy) == 2
    assert [process["conditions"]["hash_seed"] for process in found.processes] == ["3000", "3001"]
    assert found.memory.keys() == {"baseline", "optimized"}


def test_quantities_cost_a_process_only_where_the_machine_offers_any(material, monkeypatch):
    """Without counters of any kind no process is started for them; else one measures all arms."""
    nothing = {"quantities": {"energy_j": None}, "quantity_reasons": {"energy_j": "no meter"}}
    monkeypatch.setattr(sampling, "nothing_offered", lambda threads: nothing)
    assert sampling._quantities(QUESTION, material, 600) == dict.fromkeys(ARMS, nothing)
    assert not list(material.folder.glob("quantities*"))
    monkeypatch.setattr(sampling, "nothing_offered", lambda threads: None)
    found = sampling._quantities(QUESTION, material, 600)
    assert found.keys() == set(ARMS)
    assert all(arm["quantities"].keys() == QUANTITIES.keys() for arm in found.values())
    assert len(list(material.folder.glob("quantities*.job.json"))) == 1


def test_baseline_and_optimized_model_make_the_first_call_in_turn(material):
    """Half of the processes time the first call of the one, half of the other."""
    found = collect(dataclasses.replace(QUESTION, processes=4), material, PHASES)
    assert [process["first"] for process in found.processes] == ["baseline", "optimized", "control", "optimized"]


def test_waiting_is_not_of_the_budget(material, monkeypatch):
    """As many processes run on a busy machine as on a quiet one; time passes here while somebody looks only."""
    passed, said = [0.0], []

    def look(count, seconds):
        passed[0] += seconds
        return Place((0,), 1.0, 0.0)

    monkeypatch.setattr(sampling, "time", SimpleNamespace(monotonic=lambda: passed[0]))
    question = dataclasses.replace(QUESTION, processes=4, budget_s=10.0)
    found = collect(question, material, PHASES, Patience(30.5, said.append, look))
    assert (found.waited_s, found.busy, len(said)) == (30.5, (1.0,) * 4, 1)


def process(number, control=1.0, spread=0.0):
    """Return what `wants_more` looks at: 60 rows of three arms, the control faster by a factor."""
    wall = np.exp(np.random.default_rng(number).normal(0, 0.002, (60, 3))) * 300_000
    wall[:, 1] *= 1 + spread * number
    wall[:, 2] /= control
    samples = wall.astype(int).tolist()
    cold = {"first": "baseline", "cold_ns": 1}
    shared = {"loops": 3, "empty_ns": 300, "is_cpu_time_fine": True, "tail_ns": [[1], [1], [1]], **cold}
    return {**shared, "wall_ns": samples, "cpu_ns": samples, "copy": [0] * 60}


ASKED = dataclasses.replace(QUESTION, processes=4, target_ci=0.01, budget_s=10.0, threshold=0.02)


@pytest.mark.parametrize(
    ("count", "expected_s", "changes", "expected"),
    [
        (2, 99.0, {}, True),  # two are too few for an interval, whatever the budget
        (3, 10.1, {}, False),  # three are enough when the budget is spent
        (3, 10.0, {}, True),  # four were asked for, and there is just time for it
        (4, 5.0, {}, False),  # precise enough
        (4, 5.0, {"spread": 0.05}, True),  # processes disagree
        (4, 10.1, {"spread": 0.05}, False),  # but there is no time for another one
        (4, 5.0, {"control": 1.1}, True),  # identical code differs
    ],
)
def test_processes_are_added_for_precision_within_the_budget(count, expected_s, changes, expected):
    """Processes are added until the interval and the control are good enough, while the budget allows one more."""
    assert wants_more(ASKED, [process(number, **changes) for number in range(count)], expected_s) is expected


def test_an_interval_that_just_became_narrow_is_not_believed_at_once():
    """Stopping where the interval first happens to meet the target would miss the truth too often: it must stay so."""
    wide = [process(0, spread=0.05), process(1, spread=0.02), process(2)]
    narrow = [process(number) for number in range(3, 12)]
    counts = [count for count in range(4, 13) if not wants_more(ASKED, (wide + narrow)[:count], 0.0)]
    met = [count for count in range(3, 13) if _half_width((wide + narrow)[:count]) <= ASKED.target_ci]
    assert counts == [count for count in met if count - 1 in met and count >= 4]
    assert len(counts) < len(met)


def _half_width(processes):
    return speedup_and_control(ASKED, processes)[0].half_width


def test_two_processes_run_even_if_one_is_asked_for():
    """One process has no interval."""
    question = dataclasses.replace(ASKED, processes=1)
    assert wants_more(question, [process(0)], 99.0)
    assert not wants_more(question, [process(0), process(1)], 99.0)


def test_a_model_against_itself_is_never_different(material):
    """The same model in both arms is equivalent, or nothing is said, but never faster or slower."""
    question = dataclasses.replace(QUESTION, processes=4, budget_s=600.0, threshold=0.02)
    found = collect(question, material, PHASES)
    record = comparison(question, found.processes, found.busy, found.memory, found.quantities)
    assert record["verdict"] in {"equivalent", "inconclusive", "noisy"}
    assert set(raw_arrays(0, question, found.processes)["0.baseline.3.kept"]) <= {0, 1}
