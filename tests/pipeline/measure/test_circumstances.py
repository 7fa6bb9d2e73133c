"""What the gauges of a comparison's processes come to."""

import pytest

from pipeline.measure.circumstances import MOST_UNSEEN, about_the_machine, seen_share, unseen_share

GAUGES = {"elapsed_s": 1.0, "others": 0.0, "stolen": 0.0, "paused": 0.0, "pauses": 0}


def process(lost=0.0, quota=None, **gauges):
    """Return a process of 100 samples of 300 µs on whose clocks the share `lost` of the time was not the thread's."""
    wall = [[300_000] * 3] * 100
    cpu = [[round(300_000 * (1 - lost))] * 3] * 100
    return {"wall_ns": wall, "cpu_ns": cpu, "conditions": {"gauges": {**GAUGES, **gauges}, "quota": quota}}


def warnings(*processes, busy=(), threads=1, waited_s=0.0, unseen=0.0):
    return about_the_machine(processes, busy, threads, waited_s, unseen)


def test_a_quiet_machine_is_not_mentioned():
    """Nothing was taken, nothing is warned about."""
    assert warnings(process(), process(), busy=[0.0, None]) == []
    assert unseen_share([process()], is_filtered=True) == unseen_share([process()], is_filtered=False) == 0.0


def test_a_hog_is_seen_by_the_filter():
    """Half of the core's time hides nothing where every interruption shows in the thread's own clock."""
    processes = [process(lost=0.5, others=0.5)]
    assert seen_share(processes) == 0.5
    assert unseen_share(processes, is_filtered=True) == 0.0


def test_a_hog_is_not_seen_where_nothing_is_filtered():
    """Several threads wait for the slowest of them, in one arm more than in the other: the control cannot tell."""
    assert unseen_share([process(others=0.5), process(others=0.1)], is_filtered=False) == pytest.approx(0.3)


def test_stolen_time_is_seen_where_the_kernel_leaves_it_out_of_cpu_time():
    """Then the samples lost at least as much as the host took; else that is what nobody saw."""
    assert unseen_share([process(lost=0.12, stolen=0.1)], is_filtered=True) == 0.0
    assert unseen_share([process(lost=0.01, stolen=0.1)], is_filtered=True) == pytest.approx(0.09)


def test_longer_processes_count_for_more():
    """Shares are of the whole time."""
    processes = [process(stolen=0.4, elapsed_s=1.0), process(stolen=0.0, elapsed_s=3.0)]
    assert unseen_share(processes, is_filtered=True) == pytest.approx(0.1)


def test_what_is_unknown_is_not_made_up():
    """A system without the counters has no share."""
    assert unseen_share([process(others=None, stolen=None, paused=None)], is_filtered=False) == 0.0


def test_every_warning_has_its_numbers():
    """Who had what of the core, before and meanwhile, how long was waited, and what the host took."""
    text = warnings(
        *(process(others=share, stolen=0.1) for share in (0.1, 0.5, 0.4)),
        busy=[0.9, None, 0.3],
        waited_s=30.0,
        unseen=MOST_UNSEEN + 0.01,
    )
    assert text == [
        "others had 6% of the cores' time, more than 5%, unseen by the filter: nothing can be claimed",
        "before 2 of 3 processes other programs used more than 25% of the core, after waiting 30 s in all for a quiet "
        "moment",
        "during 2 of 3 processes other programs used more than 25% of the core, 50% at most, which percentiles include",
        "the host took 10.0% of the core's time away (steal), which percentiles include",
    ]


@pytest.mark.parametrize(
    ("quota", "paused", "pauses", "threads", "expected"),
    [
        (0.5, 0.3, 4, 1, "granted 0.5 cores, and 1 work: the system paused it 8 times, 30% of the time"),
        (None, 0.3, 4, 1, "limited, and 1 work: the system paused it 8 times"),  # an outer group that is not mounted
        (2.0, 0.1, 1, 1, "granted 2 cores, and 1 work: the system paused it 2 times"),  # others in it spend it, too
        (0.5, 0.0, 0, 1, None),  # a burst that was saved up is enough
        (0.5, None, None, 1, "granted 0.5 cores, and 1 work: the system pauses it again and again"),
        (2.0, None, None, 2, None),
        (None, None, None, 2, None),
    ],
)
def test_a_quota_is_warned_about_when_it_paused_us(quota, paused, pauses, threads, expected):
    """What was counted decides; where nobody counts, the grant does."""
    text = warnings(*[process(quota=quota, paused=paused, pauses=pauses)] * 2, threads=threads)
    assert len(text) == (expected is not None)
    assert expected is None or expected in text[0]
