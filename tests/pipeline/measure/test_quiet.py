"""Which cores are free, and waiting for one: with kernel files, looks and sleeps of the test's own."""

import os
import sys

import pytest

from pipeline.measure.quiet import Core, Patience, Place, choose, idlest, read_core


def cores(*speeds, threads=1):
    """Return cores of these speeds; with two threads, neighbours in number are siblings."""
    groups = [frozenset(range(n - n % threads, n - n % threads + threads)) for n in range(len(speeds))]
    return [Core(number, groups[number], speed) for number, speed in enumerate(speeds)]


@pytest.mark.parametrize(
    ("count", "found", "shares", "expected"),
    [
        (1, cores(0, 0), {0: 0.0, 1: 0.0}, ((1,), 0.0)),  # equals: core 0 gets the interrupts
        (1, cores(0, 0), {0: 0.1, 1: 0.9}, ((0,), 0.1)),
        (1, cores(5, 5, 3, 3), {0: 0.0, 1: 0.0, 2: 0.0, 3: 0.0}, ((1,), 0.0)),  # the efficiency cores are idle too
        (1, cores(5, 5, 3, 3), {0: 0.8, 1: 0.7, 2: 0.0, 3: 0.1}, ((2,), 0.0)),  # but the fast ones may be taken
        (2, cores(0, 0, 0, 0, threads=2), {}, ((1, 3), 0.0)),  # not the two threads of one core
        (1, cores(0, 0, 0, 0, threads=2), {2: 0.9}, ((1,), 0.0)),  # the sibling of a busy thread is busy
        (3, cores(0, 0, 0, 0, threads=2), {0: 0.1}, ((1, 2, 3), 0.1)),  # siblings, where there is nothing else
    ],
)
def test_free_then_fast_then_idle_cores_are_chosen(count, found, shares, expected):
    """Cores are chosen so that nobody else works on them and all processes get the same kind."""
    assert choose(count, found, shares) == expected


def test_a_core_is_described_by_the_kernel(tmp_path):
    """Siblings are a list of ranges, speed is the capacity or the highest clock; nothing is known without the files."""
    for name, text in {
        "cpu2/topology/thread_siblings_list": "0-1,2,6-6\n",
        "cpu2/cpufreq/cpuinfo_max_freq": "4700000\n",
        "cpu3/topology/thread_siblings_list": "3\n",
        "cpu3/cpu_capacity": "1024\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert read_core(2, tmp_path) == Core(2, frozenset({0, 1, 2, 6}), 4_700_000)
    assert read_core(3, tmp_path) == Core(3, frozenset({3}), 1024)
    assert read_core(9, tmp_path) == Core(9, frozenset({9}), 0)


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux only")
def test_chooses_among_allowed_cores():
    """The chosen core is one that this process may use, with a share between 0 and 1."""
    place = idlest(1)
    assert set(place.cores) <= os.sched_getaffinity(0)
    assert 0 <= place.stolen <= place.busy <= 1


BUSY, QUIET, STOLEN = Place((1,), 0.97, 0.0), Place((0,), 0.2, 0.0), Place((1,), 0.12, 0.12)


class Looks:
    """Looks with the given outcomes, the last one for ever; it remembers how long each took."""

    def __init__(self, *outcomes):
        self.outcomes, self.seconds, self.said = list(outcomes), [], []

    def __call__(self, count, seconds):
        self.seconds.append(seconds)
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]

    def patience(self, wait_s):
        return Patience(wait_s, self.said.append, look=self)


def test_a_quiet_machine_is_not_waited_for():
    """One short look, and nothing is said."""
    looks = Looks(QUIET)
    patience = looks.patience(30)
    assert patience.place(1) is QUIET
    assert (looks.seconds, looks.said, patience.waited_s) == ([0.05], [], 0.0)


def test_a_moment_of_work_is_no_busy_machine():
    """What a longer look does not confirm is not worth a message."""
    looks = Looks(BUSY, QUIET)
    assert looks.patience(30).place(1) is QUIET
    assert looks.said == []


def test_a_busy_machine_is_waited_for_with_one_message():
    """It names core, share and budget; the place is that of the quiet moment."""
    looks = Looks(BUSY, BUSY, BUSY, QUIET, BUSY, BUSY, QUIET)
    patience = looks.patience(30)
    assert [patience.place(1), patience.place(1)] == [QUIET, QUIET]
    assert looks.said == ["the machine is busy (core 1: 97 % by others): waiting up to 30 s for a quiet moment"]
    assert patience.waited_s == sum(looks.seconds) - 2 * 0.05


@pytest.mark.parametrize("wait_s", [0, 0.2, 0.5, 1.7])
def test_waiting_ends_with_its_budget(wait_s):
    """All processes of a comparison share it; then they run where it is least busy."""
    looks = Looks(BUSY)
    patience = looks.patience(wait_s)
    assert [patience.place(1) for _ in range(3)] == [BUSY] * 3
    assert patience.waited_s == pytest.approx(wait_s)
    assert len(looks.said) == (wait_s > 0.5)


def test_time_that_the_host_takes_is_waited_for_too():
    """Though no program here is busy."""
    looks = Looks(STOLEN, STOLEN, QUIET)
    assert looks.patience(9).place(1) is QUIET
    assert looks.said == [
        "the machine is busy (core 1: 0 % by others, 12 % by the host): waiting up to 9 s for a quiet moment"
    ]


def test_where_nobody_counts_nothing_is_waited_for():
    """A system without the kernel's files has no place to choose."""
    looks = Looks(None)
    assert looks.patience(30).place(1) is None
    assert looks.seconds == [0.05]
