"""The same networks elsewhere: what other runtimes take for them, as rows and as sentences.

Ratios are turned so that a sentence says who is faster; the table keeps the record's: their time over ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.submission.quantities import MISSING, quantity, with_interval

__all__ = ["HEADER", "PeerRow", "Peers", "peers"]

Document = Mapping[str, Any]

HEADER = ("runtime", "network", "precision", "file", "a call", "its time / ours", "tinytorch is")

_TONES = {"faster": "good", "slower": "bad", "noisy": "warn", "inconclusive": "warn"}
_NETWORKS = {"optimized": "the optimized network", "baseline": "the baseline"}


@dataclass(frozen=True)
class PeerRow:
    """One network in one runtime against the same network in ours, in the order of HEADER; `tone` is the verdict's."""

    runtime: str
    network: str
    precision: str
    file: str
    call: str
    ratio: str
    verdict: str
    tone: str

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the cells before the verdict."""
        return self.runtime, self.network, self.precision, self.file, self.call, self.ratio


@dataclass(frozen=True)
class Peers:
    """All rows, what all comparisons with our optimized model come to in sentences, and how it was measured."""

    rows: tuple[PeerRow, ...] = ()
    sentences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def peers(submission: Document) -> Peers:
    """Return what a submission of version 2 says of peers; empty if none was asked for."""
    record = submission.get("peers")
    if record is None:
        return Peers()
    return Peers(
        rows=tuple(_row(c, record["arms"]) for c in record["comparisons"] if c["network"] == c["against"]),
        sentences=tuple(map(_sentence, _telling(record["comparisons"]))),
        notes=tuple(_notes(record)),
    )


def _row(comparison: Document, arms: Document) -> PeerRow:
    arm = comparison["peer"] if comparison["network"] == "optimized" else f"{comparison['peer']} baseline"
    timed, ratio = arms.get(arm), comparison["ratio"]
    return PeerRow(
        runtime=f"{comparison['peer']} {comparison['version']}",
        network=comparison["network"],
        precision=comparison["precision"],
        file=quantity(comparison["file_bytes"], "B"),
        call=quantity(timed["median_ns"], "ns") if timed else MISSING,
        ratio=with_interval(ratio["estimate"], ratio["interval"], "ratio") if ratio else MISSING,
        verdict=comparison["verdict"] or MISSING,
        tone=_TONES.get(comparison["verdict"], ""),
    )


def _telling(comparisons: list[Document]) -> list[Document]:
    """Return those that answer whether to use another runtime: for our network, or for the one before our work."""
    return [comparison for comparison in comparisons if comparison["against"] == "optimized"]


def _sentence(comparison: Document) -> str:
    peer, network, ratio = comparison["peer"], _NETWORKS[comparison["network"]], comparison["ratio"]
    does = f"{peer} runs {network}"
    if ratio is None:
        return f"{peer} is not timed with {network}: {comparison['reason']}"
    ours = "tinytorch" if comparison["network"] == "optimized" else "tinytorch runs the optimized network"
    estimate, (low, high) = ratio["estimate"], ratio["interval"]
    if comparison["verdict"] == "slower":
        return f"{does} {_times(1 / estimate, 1 / high, 1 / low)} faster than {ours} here"
    if comparison["verdict"] == "faster":
        return f"{does} {_times(estimate, low, high)} slower than {ours} here"
    took = f"it takes {_times(estimate, low, high)} the time"
    if comparison["verdict"] == "equivalent":
        return f"{does} as fast as {ours} here: {took}"
    return f"whether {does} faster than {ours} is {comparison['verdict']} here: {took}"


def _times(estimate: float, low: float, high: float) -> str:
    return with_interval(estimate, (low, high), "ratio")


def _notes(record: Document) -> list[str]:
    """Return how it was measured, where outputs differ by rounding, and the warnings."""
    control = with_interval(record["control"]["estimate"], record["control"]["interval"], "ratio")
    found = [
        f"one call of {record['batch_size']} sample{'s' if record['batch_size'] > 1 else ''} with {record['threads']} "
        f"thread{'s' if record['threads'] > 1 else ''}, all in turns in {record['processes']} processes; outputs were "
        f"compared first; identical code against itself: {control}"
    ]
    rounded = [c for c in _telling(record["comparisons"]) if c["precision"] == "int8" and c["ratio"]]
    if rounded:
        least = min(c["outputs"]["top1_agreement"] for c in rounded)
        agree = "all answers agree" if least == 1 else f"at least {quantity(least, 'share')} of the answers agree"
        found.append(
            f"int8: the same integers and scales, inputs rounded with one scale for all samples; {agree} with ours"
        )
    return [*found, *(f"warning: {text}" for text in record["warnings"])]
