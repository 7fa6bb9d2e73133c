"""The peak of the resident memory of this process, from when it was reset."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import resource

__all__ = ["Peak", "Start", "peak", "reset_peak"]

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Start:
    """From when a peak counts: whether it was reset then, and the `ru_maxrss` of that moment (None on Windows)."""

    is_reset: bool
    maxrss_bytes: int | None


@dataclass(frozen=True)
class Peak:
    """Peak resident bytes and how they were read, or None and why they were not."""

    size_bytes: int | None
    how: str


def reset_peak() -> Start:
    """Let the peak start again from what is resident now, where this system can (Linux, see proc(5))."""
    try:
        _CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return Start(False, _maxrss_bytes())
    return Start(True, _maxrss_bytes())


def peak(start: Start) -> Peak:
    """Return the peak: VmHWM where it exists, else ru_maxrss, which counts from the start of the process."""
    try:
        status = _STATUS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return _from_rusage(start)
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return Peak(int(line.split()[1]) * 1024, "VmHWM, reset after loading" if start.is_reset else "VmHWM")
    return _from_rusage(start)


def _from_rusage(start: Start) -> Peak:
    now = _maxrss_bytes()
    if now is None:
        return Peak(None, "this system has neither /proc nor getrusage")
    # Linux hands ru_maxrss on through fork and exec (measured: 495 MB in an interpreter of 9 MB whose parent had
    # 480 MB), so that only a value that has grown since is this process's own.
    if sys.platform == "linux" and now == start.maxrss_bytes:
        return Peak(None, f"ru_maxrss stayed at {now} bytes, which may be those of the process that started this one")
    return Peak(now, "ru_maxrss")


def _maxrss_bytes() -> int | None:
    if sys.platform == "win32":
        return None
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
