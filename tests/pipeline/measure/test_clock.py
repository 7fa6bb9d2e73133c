"""What the clocks of a process can tell."""

from pipeline.measure import clock as clocks
from pipeline.measure.clock import Clock, measure_clock


def clock(resolution_ns: int, cpu_resolution_ns: int = 500) -> Clock:
    return Clock("perf_counter_ns", "test", resolution_ns, 50, "test", cpu_resolution_ns)


def test_a_sample_lasts_a_thousand_steps_and_200_microseconds():
    """A fine clock asks for 200 µs, a coarse one for 1000 of its steps."""
    assert clock(100).sample_ns == 200_000
    assert clock(1_000).sample_ns == 1_000_000


def test_a_coarse_cpu_clock_cannot_show_preemption():
    """Ticks of 15 ms are too coarse, 500 ns are not."""
    assert clock(100, 500).is_cpu_time_fine
    assert not clock(100, 15_625_000).is_cpu_time_fine


def test_the_clock_at_hand_has_positive_steps():
    """The measured resolution and the cost of a reading are positive and recorded."""
    found = measure_clock()
    assert found.resolution_ns > 0
    assert found.overhead_ns > 0
    assert found.to_json()["name"] == "perf_counter_ns"


def test_a_clock_that_stands_still_is_coarse(monkeypatch):
    """CPU time counted in ticks may not step while it is read, whatever its nominal resolution: it shows nothing."""
    monkeypatch.setattr(clocks, "cpu_ns", lambda: 10_000_000)
    found = measure_clock()
    assert found.cpu_resolution_ns >= 1_000_000
    assert not found.is_cpu_time_fine
