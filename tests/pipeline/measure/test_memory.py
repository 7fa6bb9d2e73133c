"""The peak of a process's memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.measure.memory import peak, reset_peak


def test_peak_sees_what_was_freed():
    """50 MB that were used and freed again count, until the peak is reset."""
    code = (
        "from pipeline.measure.memory import peak, reset_peak\n"
        "before = peak(False).size_bytes; x = b'1' * 50_000_000; del x; after = peak(False).size_bytes\n"
        "assert after - before > 45_000_000, (before, after)\n"
        "assert not reset_peak() or peak(True).size_bytes < after - 45_000_000\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
def test_says_how_it_was_read():
    """The record names VmHWM, and whether it was reset."""
    assert peak(False).how == "VmHWM"
    assert peak(reset_peak()).how.startswith("VmHWM")
