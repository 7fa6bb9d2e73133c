"""The clock of cores as the kernel reports it now (Linux's cpufreq). Standard library only.

The nominal rate in /proc/cpuinfo is never taken: on a virtual machine it says nothing about the core at hand.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection
from pathlib import Path

__all__ = ["frequency_hz", "why_no_frequency"]

_CORES = Path("sys/devices/system/cpu")


def frequency_hz(cores: Collection[int], root: Path = Path("/")) -> float:
    """Return the median of the cores' `scaling_cur_freq`: that of the last milliseconds where the processor counts it.

    Raises OSError or ValueError where it cannot be read, and ValueError without cores.
    """
    if not cores:
        raise ValueError("the process is not bound to a core, so whose frequency counts is unknown")
    return statistics.median(1000.0 * int(_path(core, root).read_text(encoding="ascii")) for core in cores)


def why_no_frequency(cores: Collection[int], root: Path = Path("/")) -> str | None:
    """Return why the frequency of `cores` cannot be read; None if it can."""
    try:
        frequency_hz(cores, root)
    except OSError as error:
        return f"/{_path(min(cores), Path())}: {error.strerror}"
    except ValueError as error:
        return str(error) if not cores else f"/{_path(min(cores), Path())} holds no number"
    return None


def _path(core: int, root: Path) -> Path:
    return root / _CORES / f"cpu{core}/cpufreq/scaling_cur_freq"
