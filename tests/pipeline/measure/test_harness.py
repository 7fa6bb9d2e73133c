"""The interleaving harness, with arms that write down how they are called."""

import gc
import itertools
from collections import Counter

import numpy as np
import pytest

from pipeline.measure.clock import Clock
from pipeline.measure.harness import Arm, record, undisturbed
from pipeline.measure.job import Phases

CLOCK = Clock("perf_counter_ns", "test", 1, 50, "test", 1)
PHASES = Phases(warmup_s=0.01, service_s=0.02, latency_s=0.005)
QUERIES = [np.full((1, 2), number, np.float32) for number in range(10)]


def arms(count=3, copies=1, call=lambda query: query + 1):
    return [Arm(f"arm{number}", [call] * copies) for number in range(count)]


def spied(count=3, copies=1):
    """Return arms and the list of (arm, copy, query) that their calls append to."""
    seen = []

    def spy(arm, copy):
        return lambda query: seen.append((arm, copy, int(query[0, 0]))) or query

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


def test_all_arms_answer_the_same_queries_equally_often():
    """Whatever is called for one arm is called for the others, over all queries."""
    timed, seen = spied()
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


def test_copies_take_turns():
    """Every copy of every arm is used, and all arms use the same one at a time."""
    timed, seen = spied(copies=4)
    found = record(timed, QUERIES, CLOCK, PHASES, seed=0, loops=5)
    assert found.copies == 4
    assert {(arm, copy) for arm, copy, _ in seen} == set(itertools.product(range(3), range(4)))


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


def test_a_preempted_sample_is_told_by_its_cpu_time():
    """A sample is undisturbed while wall − CPU time is at most 2 µs or 1 % of it."""
    wall = np.array([100_000, 100_000, 1_000_000, 1_000_000])
    cpu = np.array([98_000, 97_999, 990_000, 989_999])
    assert undisturbed(wall, cpu).tolist() == [True, False, True, False]


def test_arms_need_equally_many_copies():
    """Arms with different numbers of copies are refused."""
    with pytest.raises(ValueError, match="same number of copies"):
        record([Arm("a", [abs]), Arm("b", [abs, abs])], QUERIES, CLOCK, PHASES, seed=0)
