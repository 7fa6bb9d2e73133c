"""A comparison of frameworks as what its layouts show: rows, sentences, notes. Decides words and figures, no layout.

The document has to be valid by schemas/frameworks.v1.schema.json; its texts may still be hostile, and each layout
escapes what it shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.report.facts import Facts, machine_facts
from pipeline.submission.quantities import MISSING, quantity, with_interval

__all__ = ["FrameworkRow", "FrameworksView", "HEADER", "make_frameworks_view"]

Document = Mapping[str, Any]

HEADER = (
    "work",
    "tinytorch",
    "PyTorch",
    "its time / ours",
    "tinytorch is",
    "bound by",
    "PyTorch by",
)

_TONES = {"faster": "good", "slower": "bad", "noisy": "warn", "inconclusive": "warn"}
_BOUND = {"compute": "arithmetic", "memory": "memory", "overhead": "overhead"}
_LARGEST_LISTED = 1e6  # a ratio beyond it is a broken document, not a speed


@dataclass(frozen=True)
class FrameworkRow:
    """One piece of work, in the order of HEADER; `rate` is what calls come to in a second, where that is asked for.

    `reason` says why PyTorch was not timed, `kernels` what computes ours; the numbers are those of charts.
    """

    title: str
    ours: str
    theirs: str
    ratio: str
    verdict: str
    tone: str
    ours_bound: str
    theirs_bound: str
    rate: str
    reason: str
    outputs: str
    kernels: str
    figures: Document

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the cells in the order of HEADER."""
        found = self.ours, self.theirs, self.ratio, self.verdict, self.ours_bound, self.theirs_bound
        return (self.title, *found)


@dataclass(frozen=True)
class FrameworksView:
    """All that a report of a comparison shows."""

    title: str
    subtitle: str
    description: str
    sentences: tuple[str, ...]
    rows: tuple[FrameworkRow, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    machine: Facts
    peaks: Document


def make_frameworks_view(document: Document) -> FrameworksView:
    """Return the view of a valid document."""
    rows = document["rows"]
    torch = document["frameworks"]["torch"]
    timing = document["timing"]
    threads = f"{timing['threads']} thread{'s' if timing['threads'] > 1 else ''}"
    return FrameworksView(
        title=document["name"],
        subtitle=f"tinytorch ({document['frameworks']['tinytorch']} kernels) and "
        f"{f'PyTorch {torch}' if torch else 'PyTorch, which is not installed'}: {len(rows)} pieces of work, "
        f"{threads} each, {rows[0]['measured_at']}",
        description=document["description"],
        sentences=tuple(_sentences(rows, torch)),
        rows=tuple(map(_row, rows)),
        notes=tuple(_notes(document)),
        warnings=_warnings(rows),
        machine=machine_facts(document["machine"]),
        peaks=_peaks(rows),
    )


def _row(row: Document) -> FrameworkRow:
    sides, ratio = row["frameworks"], row["ratio"]
    ours, theirs = sides["tinytorch"], sides.get("torch")
    return FrameworkRow(
        title=row["title"],
        ours=_time(ours),
        theirs=_time(theirs),
        ratio=with_interval(ratio["estimate"], ratio["interval"], "ratio") if ratio else MISSING,
        verdict=row["verdict"] or MISSING,
        tone=_TONES.get(row["verdict"], ""),
        ours_bound=_bound(ours),
        theirs_bound=_bound(theirs),
        rate=_rate(row),
        reason=row["reason"] or "",
        outputs=_outputs(row["outputs"]),
        kernels=", ".join(f"{kernel} {count}x" if count > 1 else kernel for kernel, count in _kernels(row)),
        figures={
            "ratio": ratio,
            "operations_per_byte": row["limits"]["operations_per_byte"],
            "gops": {name: row["work"]["operations"] / side["median_ns"] for name, side in sides.items()},
            "precision": row["precision"],
        },
    )


def _kernels(row: Document) -> list[tuple[str, int]]:
    found = Counter(kernel for kernel in row["kernels"].values())
    return list(found.items()) or [(row["instruction_set"], 1)]


def _time(side: Document | None) -> str:
    return quantity(side["median_ns"], "ns") if side else MISSING


def _bound(side: Document | None) -> str:
    return f"{_BOUND[side['bound']]} {side['share_of_limit']:.0%}" if side else MISSING


def _rate(row: Document) -> str:
    """Return samples or tokens a second of both sides, for training and decoding."""
    if not row["op"].startswith(("train_", "decode")):
        return ""
    what, count = ("tokens", 1) if row["op"] == "decode" else ("samples", row["args"].get("batch_size", 1))
    rates = [f"{count * 1e9 / side['median_ns']:,.0f}" for side in row["frameworks"].values()]
    return f"{' and '.join(rates)} {what}/s"


def _outputs(outputs: Document | None) -> str:
    if outputs is None:
        return ""
    off, largest = outputs["max_abs_difference"], outputs["largest_output"]
    if off is None or not largest:
        return "outputs are not finite, or all zero"
    return f"outputs of {outputs['calls']} calls differ by at most {off / largest:.2g} of the largest"


def _sentences(rows: Sequence[Document], torch: str | None) -> list[str]:
    """Return what all rows come to: how many are faster, the widest claims, and what bounds ours."""
    counts = Counter(row["verdict"] for row in rows if row["verdict"])
    if not counts:
        why = "PyTorch is not installed" if torch is None else "no outputs agreed"
        return [f"nothing was compared: {why}; the times of tinytorch stand alone"]
    total = sum(counts.values())
    said = [
        f"{word} {counts[word]}" for word in ("faster", "slower", "equivalent", "inconclusive", "noisy") if counts[word]
    ]
    found = [f"tinytorch against PyTorch {torch} at {total} pieces of work: {', '.join(said)}"]
    claims = sorted(
        (row for row in rows if row["verdict"] in ("faster", "slower")), key=lambda row: row["ratio"]["estimate"]
    )
    if claims and claims[-1]["verdict"] == "faster":
        found.append(f"furthest ahead: {claims[-1]['title']}, {_times(claims[-1])} as fast as PyTorch")
    if claims and claims[0]["verdict"] == "slower":
        found.append(f"furthest behind: {claims[0]['title']}, {_times(claims[0])} as fast as PyTorch")
    return [*found, *_about_bounds(rows)]


def _times(row: Document) -> str:
    ratio = row["ratio"]
    return with_interval(min(ratio["estimate"], _LARGEST_LISTED), ratio["interval"], "ratio")


def _about_bounds(rows: Sequence[Document]) -> list[str]:
    """Return how near to what the machine allows each side is, by what bounds the work."""
    found = []
    for name, shown in (("tinytorch", "tinytorch"), ("torch", "PyTorch")):
        sides = [row["frameworks"][name] for row in rows if name in row["frameworks"]]
        counts = Counter(side["bound"] for side in sides)
        said = [f"{_BOUND[word]} {counts[word]}" for word in ("memory", "compute", "overhead") if counts[word]]
        if said:
            found.append(f"{shown} is bound by: {', '.join(said)}")
    return found


def _notes(document: Document) -> list[str]:
    timing, rows = document["timing"], document["rows"]
    found = [
        f"all in turns in fresh processes, {min(row['processes'] for row in rows)} or more for each; outputs were "
        "compared first, and what differs is not timed; identical code against itself: "
        f"{_control(rows)}",
        "bound by: what explains the time of a call, and the least time that it allows as a share of the time taken; "
        "overhead: the call takes over four times what arithmetic and memory need. Over 100 %: a kernel computes "
        "faster than BLAS multiplies large matrices, by which the limit of arithmetic was measured, or data came from "
        "a nearer cache than a working set of this size is credited with",
        f"a difference of {timing['threshold']:.0%} matters; claims are corrected for the number of comparisons",
    ]
    if any(row["precision"] == "int8" and row["ratio"] for row in rows):
        found.append(
            "int8: weights with one scale each, inputs rounded at each call on both sides (PyTorch: "
            "torch.ao.quantization.quantize_dynamic)"
        )
    if reasons := {row["reason"] for row in rows if row["reason"]}:
        found += [f"PyTorch was not timed: {reason}" for reason in sorted(reasons)]
    return found


def _control(rows: Sequence[Document]) -> str:
    estimates = [row["control"]["estimate"] for row in rows]
    return f"{min(estimates):.3f}x to {max(estimates):.3f}x"


def _warnings(rows: Sequence[Document]) -> tuple[str, ...]:
    """Return every warning with the work that it is of; one that all share stands once."""
    texts = Counter(text for row in rows for text in row["warnings"])
    shared = [text for text, count in texts.items() if count == len(rows) > 1]
    own = [f"{row['title']}: {text}" for row in rows for text in row["warnings"] if text not in shared]
    return (*shared, *own)


def _peaks(rows: Sequence[Document]) -> Document:
    """Return the highest limits that any first process measured, for the roof of a chart."""
    integers = [row["balance"]["peak_int8_gops"] for row in rows if row["balance"]["peak_int8_gops"]]
    return {
        "gflops": max(row["balance"]["peak_gflops"] for row in rows),
        "int8_gops": max(integers, default=None),
        "memory_gbps": max(row["balance"]["peak_gbps"] for row in rows),
        "cache_gbps": max(one["gbps"] for row in rows for one in row["balance"]["gbps_by_working_set"]),
    }
