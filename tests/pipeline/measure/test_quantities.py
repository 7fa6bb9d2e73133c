"""Energy, clock and counters of arms, on machines made of files."""

import mmap

import numpy as np
import pytest

from pipeline.measure import counters, quantities
from pipeline.measure.harness import Arm
from pipeline.measure.quantities import QUANTITIES, measure_quantities, not_offered, nothing_offered
from tests.pipeline.measure.machines import core, zone

QUERIES = [np.zeros((4, 3), np.float32)] * 5


@pytest.fixture
def short(monkeypatch):
    """Blocks of half a millisecond: the files at hand are updated by the calls themselves."""
    for name in ("_BLOCK_NS", "_ENERGY_BLOCK_NS"):
        monkeypatch.setattr(quantities, name, 500_000)
    monkeypatch.setattr(quantities, "_LOOK_NS", 100_000)


@pytest.fixture
def no_counters(monkeypatch):
    """A machine without hardware counters, whatever the tests run on."""
    monkeypatch.setattr(counters, "EVENTS", {name: counters.Event(1, 10_000) for name in counters.EVENTS})


def burner(root, microjoules):
    """Return a call that adds so much to the energy counter."""
    counter = root / "sys/class/powercap/intel-rapl:0/energy_uj"

    def call(query):
        counter.write_text(str((int(counter.read_text()) + microjoules) % 1_000_001))
        return query

    return call


def touch_8(query):
    """Touch 8 pages of fresh memory, each of which faults once."""
    with mmap.mmap(-1, 8 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        for page in range(8):
            memory[page * mmap.PAGESIZE] = 1
    return query


def test_energy_is_per_query_of_each_arm(tmp_path, short):
    """Arms whose calls add 300 and 100 µJ get just that, though they take turns and the counter starts again."""
    zone(tmp_path, "intel-rapl:0", "package-0", range_uj=1_000_000)
    arms = [Arm("baseline", [burner(tmp_path, 300)]), Arm("optimized", [burner(tmp_path, 100)])]
    found = measure_quantities(arms, QUERIES, [0], 1, root=tmp_path)
    assert found["baseline"]["quantities"]["energy_j"] == pytest.approx(300e-6)
    assert found["optimized"]["quantities"]["energy_j"] == pytest.approx(100e-6)


def test_a_query_of_several_parts_is_one_query(tmp_path, short):
    """Four samples in batches of two are two calls, and their energy together is the query's."""
    zone(tmp_path, "intel-rapl:0", "package-0", range_uj=1_000_000)
    found = measure_quantities([Arm("a", [burner(tmp_path, 50)])], QUERIES, [0], 1, batch_size=2, root=tmp_path)
    assert found["a"]["quantities"]["energy_j"] == pytest.approx(100e-6)


def test_a_counter_that_stands_still_is_no_figure(tmp_path, short):
    """Virtual machines may offer an energy counter that never moves: 0 J would be wrong."""
    zone(tmp_path, "intel-rapl:0", "package-0")
    found = measure_quantities([Arm("a", [lambda query: query])], QUERIES, [0], 1, root=tmp_path)["a"]
    assert found["quantities"]["energy_j"] is None
    assert found["quantity_reasons"]["energy_j"].startswith("the counter did not move in ")


def test_the_clock_is_that_of_the_bound_core(tmp_path, short):
    """It is read after each block, from the files of the core that worked."""
    core(tmp_path, 0, 1_000_000)
    core(tmp_path, 1, 2_500_000)
    found = measure_quantities([Arm("a", [lambda query: query])], QUERIES, [1], 1, root=tmp_path)["a"]
    assert found["quantities"]["frequency_hz"] == 2.5e9
    assert "frequency_hz" not in found["quantity_reasons"]


def test_counts_are_per_query_without_the_loop(tmp_path, short, monkeypatch):
    """Page faults in place of instructions show the arithmetic: a call that touches 8 fresh pages counts 8."""
    monkeypatch.setattr(counters, "EVENTS", {"instructions": counters.Event(1, 2), "cycles": counters.Event(1, 1)})
    if reason := counters.offered(counters.EVENTS)["instructions"]:
        pytest.skip(reason)
    found = measure_quantities([Arm("a", [touch_8])], QUERIES, [0], 1, root=tmp_path)["a"]["quantities"]
    assert found["instructions"] == pytest.approx(8, abs=1)
    assert found["cycles"] > 0


def test_a_bare_machine_offers_nothing_and_says_why(tmp_path, no_counters):
    """Without any of the files every quantity is None with a reason, and no worker is needed to know."""
    record = nothing_offered(1, tmp_path)
    assert record["quantities"] == dict.fromkeys(QUANTITIES)
    assert record["quantity_reasons"].keys() == QUANTITIES.keys()
    assert record["quantity_reasons"]["energy_j"] == "/sys/class/powercap: No such file or directory"
    zone(tmp_path, "intel-rapl:0", "package-0")
    assert nothing_offered(1, tmp_path) is None


def test_several_threads_have_no_counts(tmp_path):
    """Counters see the calling thread only, so with two threads they are None and say so."""
    reasons = not_offered([0], 2, tmp_path)
    assert reasons["instructions"] == reasons["cycles"]
    assert reasons["cycles"].startswith("several threads do the work")


def test_slow_queries_get_two_rounds(tmp_path, short, monkeypatch):
    """After the time that is granted each arm has had its two blocks, one in each order."""
    monkeypatch.setattr(quantities, "_LONG_NS", 0)
    core(tmp_path, 0, 1_000_000)
    used = []
    copies = [lambda query, number=number: used.append(number) for number in range(4)]
    measure_quantities([Arm("a", copies)], QUERIES, [0], 1, root=tmp_path)
    assert set(used) == {0, 1}
