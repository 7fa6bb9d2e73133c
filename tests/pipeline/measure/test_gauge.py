"""Who uses the cores, from the kernel's counters."""

import os
import sys

import pytest

from pipeline.measure.gauge import Core, busy_shares, choose, idlest, read_core, read_load


def stat(path, *cores):
    lines = ["cpu  1 2 3 4 5 6 7 8 9 10"]
    lines += [f"cpu{number} " + " ".join(map(str, ticks)) for number, ticks in enumerate(cores)]
    path.write_text("\n".join([*lines, "intr 12345", "ctxt 1"]) + "\n")
    return path


def test_busy_is_all_but_idle_and_waiting(tmp_path):
    """User, system and steal ticks are work; idle and iowait are not."""
    before = read_load(stat(tmp_path / "stat", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0] * 10))
    after = read_load(stat(tmp_path / "stat", [10, 0, 5, 60, 20, 0, 0, 5, 0, 0], [0, 0, 0, 100, 0, 0, 0, 0, 0, 0]))
    assert busy_shares(before, after) == {0: 0.2, 1: 0.0}


def test_unknown_without_the_kernels_file(tmp_path):
    """A system without /proc/stat gives None, not a guess."""
    assert read_load(tmp_path / "absent") is None


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
    cores, share = idlest(1)
    assert set(cores) <= os.sched_getaffinity(0)
    assert 0 <= share <= 1
