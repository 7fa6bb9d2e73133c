"""The peak of a process's memory, against arrays of known size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.measure import memory
from pipeline.measure.launch import environment
from pipeline.measure.memory import Peak, Start, peak, reset_peak

MEGABYTE = 1_000_000


def in_a_process(code):
    """Run code in a process that starts as workers do and return the JSON it prints."""
    start = "import json\nimport numpy as np\nfrom pathlib import Path\nfrom pipeline.measure import memory\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", start + code], env=environment(1, 0), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


needs_reset = pytest.mark.skipif(not reset_peak().is_reset, reason="this system cannot reset VmHWM")


@needs_reset
@pytest.mark.parametrize("size", [20, 80])
def test_peak_grows_by_an_array_of_known_size(size):
    """After a reset, an array of so many megabytes that is used and freed raises the peak by just that."""
    before, after = in_a_process(
        "start = memory.reset_peak()\n"
        "before = memory.peak(start).size_bytes\n"
        f"x = np.ones({size} * 125_000); del x\n"
        "print(json.dumps([before, memory.peak(start).size_bytes]))\n"
    )
    assert after - before == pytest.approx(size * MEGABYTE, abs=1 * MEGABYTE)


@needs_reset
def test_a_reset_forgets_what_was_freed():
    """80 MB that were used before the reset do not count."""
    high, low = in_a_process(
        "x = np.ones(10_000_000); del x\n"
        "high = memory.peak(memory.Start(False, None)).size_bytes\n"
        "print(json.dumps([high, memory.peak(memory.reset_peak()).size_bytes]))\n"
    )
    assert high - low > 75 * MEGABYTE


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
def test_without_vmhwm_the_peak_of_the_process_grows_by_a_known_array():
    """ru_maxrss, the fallback, grows by what a larger array is larger, once it is beyond what was inherited."""
    first, second, how = in_a_process(
        "memory._STATUS = Path('/nowhere')\n"
        "start = memory.reset_peak()\n"
        "x = np.ones(start.maxrss_bytes // 8 + 2_500_000); del x\n"
        "first = memory.peak(start).size_bytes\n"
        "x = np.ones(start.maxrss_bytes // 8 + 7_500_000); del x\n"
        "found = memory.peak(start)\n"
        "print(json.dumps([first, found.size_bytes, found.how]))\n"
    )
    assert second - first == pytest.approx(40 * MEGABYTE, abs=2 * MEGABYTE)
    assert how == "ru_maxrss"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux hands ru_maxrss on to other programs")
def test_what_the_parent_used_is_not_taken_for_the_peak():
    """A process that stays below what its parent had has no peak from ru_maxrss, and says so."""
    inherited, found, how = in_a_process(
        "import subprocess, sys\n"
        "x = np.ones(40_000_000)\n"
        "code = ('import json; from pathlib import Path; from pipeline.measure import memory;'\n"
        "    'memory._STATUS = Path(\"/nowhere\"); start = memory.reset_peak(); found = memory.peak(start);'\n"
        "    'print(json.dumps([start.maxrss_bytes, found.size_bytes, found.how]))')\n"
        "print(subprocess.run([sys.executable, '-P', '-c', code], capture_output=True, text=True, check=True).stdout)\n"
    )
    assert inherited > 300 * MEGABYTE
    assert found is None
    assert how.startswith("ru_maxrss stayed at ")


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
def test_says_how_it_was_read():
    """The record names VmHWM, and whether it was reset."""
    assert peak(Start(False, None)).how == "VmHWM"
    assert peak(Start(True, None)).how == "VmHWM, reset after loading"


def test_a_system_without_either_has_no_peak(monkeypatch):
    """Neither /proc nor getrusage: None with the reason."""
    monkeypatch.setattr(memory, "_STATUS", Path("/nowhere"))
    monkeypatch.setattr(memory, "_CLEAR", Path("/nowhere"))
    monkeypatch.setattr(memory, "_maxrss_bytes", lambda: None)
    assert peak(reset_peak()) == Peak(None, "this system has neither /proc nor getrusage")
