"""The clock of a core, read from folders like the kernel's."""

import pytest

from pipeline.measure.frequency import frequency_hz, why_no_frequency
from tests.pipeline.measure.machines import core


def test_the_clock_is_that_of_the_cores_asked_for(tmp_path):
    """Kilohertz become hertz; of several cores it is the median; what other cores do does not count."""
    for number, khz in enumerate((800_000, 3_000_000, 3_400_000)):
        core(tmp_path, number, khz)
    assert frequency_hz([1], tmp_path) == 3_000_000_000
    assert frequency_hz([1, 2], tmp_path) == 3_200_000_000
    assert why_no_frequency([1, 2], tmp_path) is None


def test_a_machine_that_does_not_tell_says_so(tmp_path):
    """The missing file is named; /proc/cpuinfo's nominal clock is not taken in its place."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("cpu MHz\t\t: 2000.000\n")
    file = "/sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq"
    assert why_no_frequency([3], tmp_path) == f"{file}: No such file or directory"
    core(tmp_path, 3, "<unknown>")
    assert why_no_frequency([3], tmp_path) == f"{file} holds no number"


def test_an_unbound_process_has_no_clock(tmp_path):
    """Without a core to ask for there is a reason and no figure."""
    core(tmp_path, 0, 3_000_000)
    assert why_no_frequency([], tmp_path).startswith("the process is not bound to a core")
    with pytest.raises(ValueError, match="not bound"):
        frequency_hz([], tmp_path)
