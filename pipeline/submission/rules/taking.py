"""How samples were taken, by what the evidence says of each process: after a warm-up, in the time that it ran."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.measure.job import ARMS
from pipeline.submission.evidence import Evidence

__all__ = ["broken_taking"]

Broken = tuple[str, tuple[str | int, ...], str]

_LEAST_WINDOWS = 2  # two in a row have to agree, or the time for it to be over, before anything counts
_SLACK = 1.01  # of two clocks of one machine


def broken_taking(evidence: Evidence) -> Iterator[Broken]:
    """Yield what no process that kept the protocol says of itself; its samples have been restored before."""
    for index, under in enumerate(evidence.conditions):
        count = len(under["loops"])
        windows = under.get("warmup_windows")
        if not isinstance(windows, list) or len(windows) != count:
            yield "R011", ("evidence",), f"has no number of windows for each of the {count} processes of {index}"
            continue
        for number, found in enumerate(windows):
            where = f"of process {number} in comparison {index}"
            if not isinstance(found, int) or isinstance(found, bool) or found < _LEAST_WINDOWS:
                yield "R015", ("evidence",), f"found {found!r:.40} windows of warm-up {where}, expected 2 or more"
            elapsed_ns = under["gauges"][number]["elapsed_s"] * 1e9
            taken_ns = sum(float(evidence.samples[f"{index}.{arm}.{number}.wall_ns"].sum()) for arm in ARMS)
            if taken_ns > elapsed_ns * _SLACK:
                seconds = f"{taken_ns / 1e9:.3g} s in all, expected at most {elapsed_ns / 1e9:.3g} s, for which it ran"
                yield "R015", ("evidence",), f"found samples {where} of {seconds}"
