"""The interleaving harness, with arms that write down how they are called."""

import gc
import itertools
from collections import Counter

import numpy as np
import pytest

from pipeline.measure import harness, settling
from pipeline.measure.clock import Clock
from pipeline.measure.harness import Arm, parts, record, undisturbed
from pipeline.measure.job import Phases

CLOCK = Clock("perf_counter_ns", "test", 1, 50, "test", 1)
PHASES = Phases(warmup_s=0.01, service_s=0.02, latency_s=0.005)
QUERIES = [np.full((1, 2), number, np.float32) for number in range(10)]


def arms(count=3, copies=1, call=lambda query: query + 1):
    return [Arm(f"arm{number}", [call] * copies) for number in range(count)]


def spied(count=3, copies=1, call=lambda query: query):
    """Return arms and the list of (arm, copy, query) that their calls append to before they `call`."""
    seen = []

    def spy(arm, copy):
        return lambda query: seen.append((arm, copy, int(query[0, 0]))) or call(query)

    return [Arm(f"arm{a}", [spy(a, c) for c in range(copies)]) for a in range(count)], seen


def test_every_order_occurs_equally_often():
    """Rows come in cycles of all six orders of three arms, each order beside its mirror image."""
    order = record(arms(), QUERIES, CLOCK, PHASES, seed=0, loops=3).order
    assert len(order) % 6 == 0
    for cycle in order.reshape(-1, 6, 3).tolist():
        assert sorted(cycle) == sorted(map(list, itertools.permutations(range(3))))
        assert all(cycle[row] == cycle[row + 1][::-1] for row in (0, 2, 4))


def test_order_depends_on_the_seed_only():
    """The same seed gives the same orders, another seed other ones."""
    first, again, other = (record(arms(), QUERIES, CLOCK, PHASES, seed, loops=2).order[:6] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_all_arms_answer_the_same_queries_equally_often(monkeypatch):
    """Whatever is called for one arm is called for the others, over all queries."""
    timed, seen = spied(call=Stopped(monkeypatch, lambda calls: 10_000).call)
    record(timed, QUERIES, CLOCK, PHASES, seed=0, loops=7)
    counts = [Counter(query for arm, _, query in seen if arm == number) for number in range(3)]
    assert set(counts[0]) == set(range(10))
    totals = [sum(count.values()) for count in counts]
    assert max(totals) - min(totals) == 0


def test_no_query_follows_itself():
    """Consecutive calls of an arm get different queries, so that the answer to the last one is of no use."""
    timed, seen = spied(count=2)
    record(timed, QUERIES, CLOCK, PHASES, seed=0, loops=1)
    after_first_calls = seen[2:]
    for arm in range(2):
        queries = [query for number, _, query in after_first_calls if number == arm]
        repeats = sum(a == b for a, b in itertools.pairwise(queries))
        assert repeats == 0


def test_copies_take_turns(monkeypatch):
    """Every copy of every arm is used, and all arms use the same one at a time."""
    timed, seen = spied(copies=4, call=Stopped(monkeypatch, lambda calls: 10_000).call)
    found = record(timed, QUERIES, CLOCK, PHASES, seed=0, loops=5)
    assert found.copies == 4
    assert {(arm, copy) for arm, copy, _ in seen} == set(itertools.product(range(3), range(4)))
    cycles = found.copy.reshape(-1, 6)
    assert np.array_equal(cycles[:, 0], (1 + np.arange(len(cycles))) % 4)
    assert (cycles == cycles[:, :1]).all()


def test_loops_are_calibrated_on_the_fastest_arm_and_shared():
    """A fast arm needs many calls to fill a sample, and all arms then make as many."""
    fast, slow = (lambda query: query), (lambda query: np.ones(5_000).sum())
    found = record([Arm("slow", [slow]), Arm("fast", [fast])], QUERIES, CLOCK, PHASES, seed=0)
    assert found.loops > 100
    assert found.wall_ns[:, 0].min() > found.wall_ns[:, 1].min()


def test_given_loops_are_used():
    """Later processes of a comparison use the loops of the first."""
    assert record(arms(), QUERIES, CLOCK, PHASES, seed=0, loops=4).loops == 4


def test_single_call_samples_are_the_tail():
    """With one call a sample the samples themselves are the single calls, all of them."""
    found = record(arms(), QUERIES, CLOCK, PHASES, seed=0, loops=1)
    assert [tail.tolist() for tail in found.tail_ns] == found.wall_ns.T.tolist()


def test_single_call_samples_that_are_too_few_are_added_to():
    """Where a process should see more queries than there are rows, further ones are timed, as often for each arm."""
    found = record(arms(), QUERIES, CLOCK, Phases(0.01, 0.0, 600.0, tail_least=40), seed=0, loops=1)
    assert len(found.wall_ns) == 6
    assert {len(tail) for tail in found.tail_ns} == {6 + 48}
    assert found.tail_ns[1][:6].tolist() == found.wall_ns[:, 1].tolist()


def test_tail_of_looped_samples_is_of_single_calls():
    """With several calls a sample the tail is timed apart, equally often for each arm."""
    found = record(arms(), QUERIES, CLOCK, PHASES, seed=0, loops=50)
    assert len({len(tail) for tail in found.tail_ns}) == 1
    assert len(found.tail_ns[0]) % 16 == 0
    assert np.median(found.tail_ns[0]) < np.median(found.wall_ns[:, 0])


def test_answers_survive_a_reused_buffer():
    """An arm that writes all answers into one array still has each of them checked as it was."""
    buffer = np.zeros((1, 2), np.float32)
    found = record(arms(call=lambda query: np.add(query, 1, out=buffer)), QUERIES, CLOCK, PHASES, seed=0, loops=3)
    assert found.answers[0]
    assert all(np.array_equal(answer, QUERIES[number] + 1) for number, answer in found.answers[0].items())


def test_garbage_collection_rests_while_timing_and_works_afterwards():
    """The collector is off during calls and on again at the end, even after an error."""
    states = []
    record(arms(call=lambda query: states.append(gc.isenabled()) or query), QUERIES, CLOCK, PHASES, seed=0, loops=2)
    assert states[-1] is False
    assert gc.isenabled()
    late = iter([False] * 5)

    def fails(query):
        if next(late, True):
            raise RuntimeError("stop")
        return query

    with pytest.raises(RuntimeError, match="stop"):
        record(arms(call=fails), QUERIES, CLOCK, PHASES, seed=0, loops=2)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_restless_arms_are_recorded_as_not_steady():
    """If medians keep changing the warm-up ends at its limit and says so."""
    lengths = itertools.count(1)

    def slower_and_slower(query):
        np.ones(200 * next(lengths)).sum()
        return query

    found = record(arms(call=slower_and_slower), QUERIES, CLOCK, PHASES, seed=0, loops=1)
    assert not found.steady
    assert found.windows >= 2


class Stopped:
    """A clock that only calls of arms move: by a time that is a function of how many calls there were."""

    def __init__(self, monkeypatch, duration_ns):
        self.now_ns, self.calls, self.duration_ns = 0, 0, duration_ns
        for module, name in ((harness, "wall_ns"), (harness, "cpu_ns"), (settling, "wall_ns")):
            monkeypatch.setattr(module, name, self.read)

    def read(self):
        self.now_ns += 1
        return self.now_ns

    def call(self, query):
        self.now_ns += self.duration_ns(self.calls)
        self.calls += 1
        return query


def test_moments_in_which_the_core_is_slow_do_not_prolong_the_warm_up(monkeypatch):
    """Windows agree by their fastest samples, though most calls in every other 20 ms take half as long again."""
    clock = Stopped(monkeypatch, lambda calls: 150_000 if calls // 150 % 2 and calls % 3 else 100_000)
    found = record(arms(call=clock.call), QUERIES, CLOCK, Phases(0.25, 0.02, 0.005), seed=0, loops=1)
    assert (found.steady, found.windows) == (True, 2)


def test_warm_up_goes_on_while_calls_get_faster(monkeypatch):
    """Each window is compared with the one before: calls that need 60 ms to reach their speed take four windows."""
    clock = Stopped(monkeypatch, lambda calls: max(100_000, 300_000 - 500 * calls))
    found = record(arms(call=clock.call), QUERIES, CLOCK, Phases(0.25, 0.02, 0.005), seed=0, loops=1)
    assert found.steady
    assert found.windows > 3


def test_copies_of_slow_models_are_given_up(monkeypatch):
    """Calling all copies once may take 50 ms: quick arms use all eight, arms of 10 ms a call two."""
    for duration_ns, copies in [(1_000, 8), (10_000_000, 2), (10**9, 1)]:
        clock = Stopped(monkeypatch, lambda calls, duration_ns=duration_ns: duration_ns)
        found = record(arms(copies=8, call=clock.call), QUERIES, CLOCK, PHASES, seed=0, loops=1)
        assert found.copies == copies


def test_only_the_first_call_of_the_process_is_cold(monkeypatch):
    """The named arm makes the first call, and its time alone is recorded as cold."""
    timed, seen = spied()
    found = record(timed, QUERIES, CLOCK, PHASES, seed=0, loops=2, first=2)
    assert seen[0] == (2, 0, 0)
    assert found.first == 2
    clock = Stopped(monkeypatch, lambda calls: 5_000_000 if calls == 0 else 1_000)
    found = record(arms(call=clock.call), QUERIES, CLOCK, PHASES, seed=0, loops=2)
    assert 5_000_000 < found.cold_ns < 5_001_000


def test_a_preempted_sample_is_told_by_its_cpu_time():
    """A sample is undisturbed while wall − CPU time is at most 2 µs or 1 % of it."""
    wall = np.array([100_000, 100_000, 1_000_000, 1_000_000])
    cpu = np.array([98_000, 97_999, 990_000, 989_999])
    assert undisturbed(wall, cpu).tolist() == [True, False, True, False]


def test_arms_need_equally_many_copies():
    """Arms with different numbers of copies are refused."""
    with pytest.raises(ValueError, match="same number of copies"):
        record([Arm("a", [abs]), Arm("b", [abs, abs])], QUERIES, CLOCK, PHASES, seed=0)


def test_a_query_is_worked_off_in_parts():
    """Calls take at most the batch size, in order, and the time of a query is that of all its calls."""
    sizes = []
    queries = [np.arange(8 * 2, dtype=np.float32).reshape(8, 2) + number for number in range(4)]

    def call(part):
        sizes.append(len(part))
        return part + 1

    found = record(arms(call=call), queries, CLOCK, PHASES, seed=0, loops=2, batch_size=3)
    assert sizes[:3] == [3, 3, 2]
    assert set(zip(sizes[::3], sizes[1::3], sizes[2::3], strict=True)) == {(3, 3, 2)}
    for answers in found.answers:
        assert all(np.array_equal(answer, queries[number] + 1) for number, answer in answers.items())


def test_a_query_that_fits_into_a_call_is_not_divided():
    """The arm gets the very array then."""
    timed, seen = spied()
    record(timed, QUERIES, CLOCK, PHASES, seed=0, loops=2, batch_size=4)
    assert {query for _, _, query in seen} == set(range(10))


def test_parts_are_views():
    """Dividing a query copies nothing and keeps the order."""
    query = np.arange(10.0, dtype=np.float32).reshape(5, 2)
    found = parts(query, 2)
    assert [len(part) for part in found] == [2, 2, 1]
    assert all(np.shares_memory(part, query) for part in found)
    assert np.array_equal(np.concatenate(found), query)
