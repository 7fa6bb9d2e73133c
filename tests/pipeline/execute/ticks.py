"""The clock of a file system, which ticks every few milliseconds: what is written twice in between has one time."""

from __future__ import annotations

import time
from pathlib import Path


def wait_for_a_tick(folder: Path) -> None:
    """Wait until what is written on the folder's file system gets a later time than all that was written before."""
    probe = folder / "tick"
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        time.sleep(0.001)
        probe.touch()
    probe.unlink()
