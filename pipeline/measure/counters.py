"""Hardware counters of the calling thread in user space, by Linux's perf_event_open(2). Standard library only.

What the machine does not offer (a virtual machine without counters, a kernel that refuses) is None with the reason in
words; a counter that had to share its register is too, because its value would be an extrapolation.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

if sys.platform != "win32":
    import fcntl

__all__ = ["EVENTS", "Event", "Reading", "count", "offered"]


@dataclass(frozen=True)
class Event:
    """What is counted: `type` and `config` of struct perf_event_attr."""

    type: int
    config: int


@dataclass(frozen=True)
class Reading:
    """A count, or None with the reason."""

    value: int | None
    reason: str | None


EVENTS: Mapping[str, Event] = {"instructions": Event(0, 1), "cycles": Event(0, 0)}  # PERF_TYPE_HARDWARE

_SYSTEM_CALLS = {"x86_64": 298, "aarch64": 241}  # perf_event_open
_ATTRIBUTES = struct.Struct("=IIQQQQQIIQ")  # perf_event_attr in its first version, 64 bytes
_TIMES = 1 | 2  # read_format: the time for which the event was enabled, and that for which it was counted
_FLAGS = 1 | 1 << 5 | 1 << 6  # disabled at first, without the kernel, without the hypervisor
_CLOSE_ON_EXEC = 8
_ENABLE, _DISABLE, _RESET = 0x2400, 0x2401, 0x2403  # ioctl requests
_PARANOID = Path("proc/sys/kernel/perf_event_paranoid")


class _NotOffered(Exception):
    """The reason why an event cannot be counted."""


def offered(events: Mapping[str, Event], root: Path = Path("/")) -> dict[str, str | None]:
    """Return for each event None if this machine counts it for us, else the reason; takes less than a millisecond."""
    return {name: reading.reason for name, reading in count(lambda: None, events, root).items()}


def count(work: Callable[[], object], events: Mapping[str, Event], root: Path = Path("/")) -> dict[str, Reading]:
    """Call `work` once and return what each event counted in this thread meanwhile.

    `root` is where proc is looked for when the kernel refuses. The counts include some hundred instructions of
    switching the counters on and off.
    """
    found: dict[str, Reading] = {}
    with ExitStack() as stack:
        opened: dict[str, int] = {}
        for name, event in events.items():
            try:
                opened[name] = _open(event, root)
            except _NotOffered as reason:
                found[name] = Reading(None, str(reason))
            else:
                stack.callback(os.close, opened[name])
        for request in (_RESET, _ENABLE):
            _control(opened, request)
        work()
        _control(opened, _DISABLE)
        found |= {name: _read(descriptor) for name, descriptor in opened.items()}
    return found


def _control(opened: Mapping[str, int], request: int) -> None:
    if sys.platform != "win32":
        for descriptor in opened.values():
            fcntl.ioctl(descriptor, request, 0)


def _open(event: Event, root: Path) -> int:
    number = _SYSTEM_CALLS.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        raise _NotOffered(f"counters are read on Linux x86_64 and aarch64 only, this is {_system()}")
    attributes = _ATTRIBUTES.pack(event.type, _ATTRIBUTES.size, event.config, 0, 0, _TIMES, _FLAGS, 0, 0, 0)
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.syscall(
        ctypes.c_long(number),
        ctypes.c_char_p(attributes),
        ctypes.c_int(0),  # this thread
        ctypes.c_int(-1),  # on every core
        ctypes.c_int(-1),  # in no group
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if descriptor < 0:
        raise _NotOffered(_refusal(ctypes.get_errno(), root))
    return int(descriptor)


def _read(descriptor: int) -> Reading:
    """Return the count unless the event was counted for a part of the time only."""
    data = os.read(descriptor, 24)
    if len(data) < 24:
        return Reading(None, "the kernel gave the counter to somebody else")
    value, enabled, running = struct.unpack("=QQQ", data)
    if running < enabled:
        share = running / enabled
        return Reading(
            None, f"the counter was shared with others and ran {share:.0%} of the time; nothing is estimated"
        )
    return Reading(value, None)


def _refusal(code: int, root: Path) -> str:
    """Say in words why the kernel did not open a counter (see ERRORS in perf_event_open(2))."""
    if code in (errno.EACCES, errno.EPERM):
        return (
            f"the kernel does not allow it: perf_event_paranoid is {_paranoid(root)}, or a container forbids the call"
        )
    known = {
        errno.ENOENT: "this processor, or the virtual machine, offers no such counter",
        errno.ENODEV: "this processor, or the virtual machine, offers no such counter",
        errno.EOPNOTSUPP: "this processor, or the virtual machine, offers no such counter",
        errno.ENOSYS: "this kernel has no perf_event_open",
        errno.EBUSY: "another program has the counter for itself",
    }
    return known.get(code, f"perf_event_open failed: {os.strerror(code)}")


def _paranoid(root: Path) -> str:
    try:
        level = (root / _PARANOID).read_text(encoding="ascii").strip()
    except OSError as error:
        return f"unknown ({error.strerror})"
    return f"{level} (2 or less allows it)" if level.removeprefix("-").isdigit() and int(level) > 2 else level


def _system() -> str:
    return f"{platform.system()} {platform.machine()}"
