"""The peak of the resident memory of this process, from when it was reset."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import resource

__all__ = ["Peak", "peak", "reset_peak"]

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Peak:
    """Peak resident bytes and how they were read, or None and why they were not."""

    size_bytes: int | None
    how: str


def reset_peak() -> bool:
    """Let the peak start again from what is resident now; return whether this system can (Linux, see proc(5))."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return False
    return True


def peak(is_reset: bool) -> Peak:
    """Return the peak: VmHWM where it exists, else ru_maxrss, which counts from the start of the process."""
    try:
        status = _STATUS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _from_rusage()
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return Peak(int(line.split()[1]) * 1024, "VmHWM, reset after loading" if is_reset else "VmHWM")
    return _from_rusage()


def _from_rusage() -> Peak:
    if sys.platform == "win32":
        return Peak(None, "this system has neither /proc nor getrusage")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return Peak(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit, "ru_maxrss")
