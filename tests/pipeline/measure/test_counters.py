"""Hardware counters: that perf_event_open is called rightly, and that every refusal has words."""

import errno
import mmap
import os
import struct
import sys
import threading

import pytest

from pipeline.measure import counters
from pipeline.measure.counters import EVENTS, Event, count, offered

PAGE_FAULTS, TASK_CLOCK_NS = Event(1, 2), Event(1, 1)  # PERF_TYPE_SOFTWARE: no hardware is needed for these


def software(work, **events):
    """Count software events, or skip where the kernel refuses even those."""
    found = count(work, events)
    for reading in found.values():
        if reading.reason:
            pytest.skip(reading.reason)
    return {name: reading.value for name, reading in found.items()}


def touch(pages):
    """Write to so many pages of fresh memory, each of which faults once."""
    with mmap.mmap(-1, pages * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)  # else one fault brings two megabytes
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1


def test_a_software_event_counts_exactly_what_was_done():
    """Touching 500 fresh pages faults 400 times more than 100: call, struct and reading are right."""
    few, many = (software(lambda pages=pages: touch(pages), faults=PAGE_FAULTS)["faults"] for pages in (100, 500))
    assert abs(many - few - 400) <= 20


def test_two_events_are_counted_at_once():
    """The time on the CPU and the faults of the same work come back under their names."""
    found = software(lambda: touch(100), clock=TASK_CLOCK_NS, faults=PAGE_FAULTS)
    assert found["clock"] > 0
    assert found["faults"] >= 100


def test_only_the_calling_thread_is_counted():
    """What another thread does meanwhile is not of the call that is measured."""

    def elsewhere():
        thread = threading.Thread(target=touch, args=(2000,))
        thread.start()
        thread.join()

    assert software(elsewhere, faults=PAGE_FAULTS)["faults"] < 1000


def test_hardware_events_are_numbers_or_have_a_reason():
    """On any machine each event is offered, and then counts more for more work, or says why not."""
    reasons = offered(EVENTS)
    assert reasons.keys() == {"instructions", "cycles"}
    found = [count(lambda n=n: sum(range(n)), EVENTS) for n in (10_000, 1_000_000)]
    for name, reason in reasons.items():
        few, many = (one[name] for one in found)
        if reason is None and few.value is not None and many.value is not None:
            assert many.value > few.value > 0
        else:  # it is not offered, or was shared with others while one of the two was counted
            assert few.reason or many.reason


@pytest.mark.parametrize(
    ("code", "paranoid", "words"),
    [
        (errno.EACCES, "4", "perf_event_paranoid is 4 (2 or less allows it)"),
        (errno.EPERM, "2", "perf_event_paranoid is 2, or a container forbids the call"),
        (errno.EACCES, None, "perf_event_paranoid is unknown (No such file or directory)"),
        (errno.ENOENT, "2", "offers no such counter"),
        (errno.ENODEV, "2", "offers no such counter"),
        (errno.EOPNOTSUPP, "2", "offers no such counter"),
        (errno.ENOSYS, "2", "this kernel has no perf_event_open"),
        (errno.EBUSY, "2", "another program has the counter"),
        (errno.EMFILE, "2", "perf_event_open failed: Too many open files"),
    ],
)
def test_every_refusal_has_words(tmp_path, code, paranoid, words):
    """What the kernel answers is said in words, with its setting where that decides."""
    if paranoid is not None:
        (tmp_path / "proc/sys/kernel").mkdir(parents=True)
        (tmp_path / "proc/sys/kernel/perf_event_paranoid").write_text(f"{paranoid}\n")
    assert words in counters._refusal(code, tmp_path)


@pytest.mark.skipif(sys.platform != "linux", reason="perf_event_open is Linux's")
def test_an_event_that_does_not_exist_is_refused():
    """The kernel refuses an unknown event with an error number, which becomes the reason; the work is done anyway."""
    done = []
    found = count(lambda: done.append(1), {"nonsense": Event(1, 10_000)})
    assert found["nonsense"].value is None
    assert found["nonsense"].reason
    assert done == [1]


def test_other_systems_have_a_reason(monkeypatch):
    """Where the system call is unknown nothing is called."""
    monkeypatch.setattr(counters.platform, "machine", lambda: "riscv64")
    assert set(offered(EVENTS).values()) == {
        f"counters are read on Linux x86_64 and aarch64 only, this is {counters._system()}"
    }


@pytest.mark.parametrize(
    ("data", "value", "words"),
    [
        ((7, 100, 100), 7, None),
        ((7, 100, 40), None, "ran 40% of the time; nothing is estimated"),
        ((), None, "gave the counter to somebody else"),
    ],
)
def test_a_counter_that_was_shared_is_no_figure(tmp_path, data, value, words):
    """A count of a part of the time would have to be extrapolated, so it is None."""
    path = tmp_path / "event"
    path.write_bytes(struct.pack(f"={len(data)}Q", *data))
    descriptor = os.open(path, os.O_RDONLY)
    found = counters._read(descriptor)
    os.close(descriptor)
    assert found.value == value
    assert found.reason is None if words is None else words in found.reason
