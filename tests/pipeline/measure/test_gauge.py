"""Who uses the cores, from the kernel's counters."""

import os
import sys

import pytest

from pipeline.measure.gauge import busy_shares, idlest, read_load


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


@pytest.mark.skipif(sys.platform != "linux", reason="cores are chosen on Linux only")
def test_chooses_among_allowed_cores():
    """The chosen core is one that this process may use, with a share between 0 and 1."""
    cores, share = idlest(1)
    assert set(cores) <= os.sched_getaffinity(0)
    assert 0 <= share <= 1
