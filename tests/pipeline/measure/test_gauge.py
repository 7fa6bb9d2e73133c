"""Who uses the machine, from kernel files of the test's own."""

import dataclasses
import os

import pytest

from pipeline.measure.gauge import Load, gauges, read_gauges, read_load, shares

FILES = {
    "proc/stat": "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 100 0 0 900 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0\nintr 12345\n",
    "proc/loadavg": "1.50 0.90 0.50 2/100 4711\n",
    "proc/pressure/cpu": "some avg10=12.50 avg60=3.00 avg300=1.00 total=2000000\nfull avg10=0.00 total=0\n",
    "proc/self/cgroup": "0::/job\n",
    "sys/fs/cgroup/cpu.stat": "usage_usec 5\n",
    "sys/fs/cgroup/job/cpu.stat": "usage_usec 5\nnr_periods 9\nnr_throttled 3\nthrottled_usec 40000\n",
}


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def stat(path, *cores):
    lines = ["cpu  1 2 3 4 5 6 7 8 9 10"]
    lines += [f"cpu{number} " + " ".join(map(str, ticks)) for number, ticks in enumerate(cores)]
    path.write_text("\n".join([*lines, "intr 12345", "ctxt 1"]) + "\n")
    return path


def test_busy_is_all_but_idle_and_waiting(tmp_path):
    """User, system and stolen ticks are no idle time; idle and iowait are. What was stolen is told apart."""
    before = read_load(stat(tmp_path / "stat", [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0] * 10))
    after = read_load(stat(tmp_path / "stat", [10, 0, 5, 60, 20, 0, 0, 5, 0, 0], [0, 0, 0, 100, 0, 0, 0, 0, 0, 0]))
    assert shares(before, after) == ({0: 0.2, 1: 0.0}, {0: 0.05, 1: 0.0})


def test_counters_that_went_back_make_no_share_below_0_or_above_1(tmp_path):
    """Linux may take back ticks of waiting for disks, and stolen ones: five busy ticks are no more than all of four."""
    before = read_load(stat(tmp_path / "stat", [0, 0, 0, 0, 9, 0, 0, 3, 0, 0]))
    after = read_load(stat(tmp_path / "stat", [7, 0, 0, 0, 8, 0, 0, 1, 0, 0]))
    assert shares(before, after) == ({0: 1.0}, {0: 0.0})
    first = read_gauges(write(tmp_path, FILES))
    found = gauges(dataclasses.replace(first, load=before), later(first, load=after), (0,))
    assert (found["others"], found["stolen"]) == (1.0, 0.0)


def test_unknown_without_the_kernels_file(tmp_path):
    """A system without /proc/stat gives None, not a guess."""
    assert read_load(tmp_path / "absent") is None


def test_every_counter_is_read(tmp_path):
    """Load, pressure as a share and as a sum, and how often and how long each control group was paused."""
    found = read_gauges(write(tmp_path, FILES))
    assert (found.load_average, found.pressure, found.waited_us) == (1.5, 0.125, 2_000_000)
    assert found.load == Load({0: 1000, 1: 0}, {0: 100, 1: 0}, {0: 0, 1: 0})
    assert found.pauses == {str(tmp_path / "sys/fs/cgroup/job"): (3, 40_000.0)}
    assert found.missing == {}


def test_groups_of_version_1_count_pauses_in_ns(tmp_path):
    """Both versions are read into one unit."""
    files = {
        "proc/self/cgroup": "4:memory:/\n1:cpu,cpuacct:/\n",
        "sys/fs/cgroup/cpu/cpu.stat": "nr_periods 9\nnr_throttled 2\nthrottled_time 7000\n",
    }
    assert list(read_gauges(write(tmp_path, {**FILES, **files})).pauses.values()) == [(2, 7.0)]


def test_what_a_system_does_not_offer_is_none_with_the_reason(tmp_path):
    """No counter is made up."""
    found = read_gauges(tmp_path)
    assert (found.load, found.load_average, found.pressure, found.waited_us, found.pauses) == (None,) * 5
    assert found.missing == {
        name: f"/proc/{path}: No such file or directory"
        for name, path in {
            "load": "stat",
            "load_average": "loadavg",
            "pressure": "pressure/cpu",
            "pauses": "self/cgroup",
        }.items()
    }
    record = gauges(found, found, (0,))
    assert {record[name] for name in ("others", "stolen", "waiting", "paused", "pauses")} == {None}
    assert record["missing"].keys() == {
        *("others", "stolen", "load_average", "waiting", "pressure", "paused", "pauses"),
    }


def test_a_group_that_counts_no_pauses_is_a_reason(tmp_path):
    """The outermost group of version 2 has no quota, and no such counters."""
    found = read_gauges(write(tmp_path, {**FILES, "proc/self/cgroup": "0::/\n"}))
    assert found.missing == {"pauses": "no control group counts how long it was paused"}


def later(first, **changes):
    return dataclasses.replace(first, at_s=first.at_s + 2.0, **changes)


def test_what_others_did_is_what_is_left_of_the_busy_time(tmp_path):
    """Of 200 ticks 150 were busy, 20 of them stolen, and 100 our own: 30 are others'."""
    first = read_gauges(write(tmp_path, FILES))
    ticks = os.sysconf("SC_CLK_TCK")
    load = Load({0: 1200, 1: 200}, {0: 250, 1: 0}, {0: 20, 1: 0})
    second = later(
        first, own_s=first.own_s + 100 / ticks, load=load, waited_us=3_000_000, load_average=2.0, pressure=0.5
    )
    found = gauges(first, second, (0,))
    assert (found["others"], found["stolen"]) == (pytest.approx(0.15), 0.1)
    assert (found["elapsed_s"], found["waiting"]) == (pytest.approx(2.0), pytest.approx(0.5))
    assert (found["load_average"], found["pressure"]) == ([1.5, 2.0], [0.125, 0.5])
    assert (found["paused"], found["pauses"], found["missing"]) == (0.0, 0, {})


def test_the_longest_pause_of_nested_groups_counts(tmp_path):
    """What pauses the outer group pauses the inner one, too."""
    files = {"sys/fs/cgroup/cpu.stat": "nr_throttled 1\nthrottled_usec 100\n"}
    first = read_gauges(write(tmp_path, {**FILES, **files}))
    outer, inner = sorted(first.pauses)
    second = later(first, pauses={outer: (2, 200_100.0), inner: (8, 140_000.0)})
    found = gauges(first, second, (0,))
    assert (found["paused"], found["pauses"]) == (pytest.approx(0.1), 1)


def test_a_process_that_was_bound_to_no_core_cannot_tell_others_from_itself(tmp_path):
    """Its work may have been on any of them."""
    first = read_gauges(write(tmp_path, FILES))
    found = gauges(first, later(first), None)
    assert (found["others"], found["missing"]["others"]) == (None, "the process was not bound to cores")


def test_two_readings_within_a_tick_say_nothing_of_the_cores(tmp_path):
    """No share of nothing."""
    first = read_gauges(write(tmp_path, FILES))
    found = gauges(first, first, (0,))
    assert (found["others"], found["stolen"]) == (None, None)
    assert found["missing"]["others"] == "the kernel counted no time of these cores meanwhile"


def test_readings_of_this_machine_are_shares_or_have_a_reason():
    """Whatever it offers."""
    found = gauges(read_gauges(), read_gauges(), (0,))
    for name in ("others", "stolen", "waiting", "paused"):
        assert name in found["missing"] if found[name] is None else found[name] >= 0
