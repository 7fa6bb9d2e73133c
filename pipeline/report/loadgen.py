"""What MLPerf's LoadGen says of both models, as rows and notes: VALID or INVALID in its own word, and why.

The verdict of a report is that of our own comparison, which interleaves the models; these figures stand beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.submission.quantities import MISSING, quantity

__all__ = ["HEADER", "LoadGen", "LoadGenRow", "loadgen"]

Document = Mapping[str, Any]

HEADER = ("scenario", "batch size", "threads", "model", "judged by", "throughput", "queries", "LoadGen says")

_JUDGED_BY = {"SingleStream": "p90", "MultiStream": "p99", "Server": "rate", "Offline": "throughput"}
_NO_INTERVAL = (
    "LoadGen runs one model at a time, so its ratios have no interval and no verdict; its percentiles are the "
    "early-stopped ones, which with few queries are the slowest query"
)


@dataclass(frozen=True)
class LoadGenRow:
    """One model under one condition, in the order of HEADER; `says` is VALID, INVALID or a dash, with the runs."""

    scenario: str
    batch_size: str
    threads: str
    model: str
    judged_by: str
    throughput: str
    queries: str
    says: str
    tone: str

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the cells before what LoadGen says."""
        return (
            self.scenario, self.batch_size, self.threads, self.model, self.judged_by, self.throughput, self.queries,
        )  # fmt: skip


@dataclass(frozen=True)
class LoadGen:
    """All rows; the version with the ratios; reasons, errors and warnings, each once."""

    rows: tuple[LoadGenRow, ...] = ()
    title: str = ""
    notes: tuple[str, ...] = ()


def loadgen(submission: Document) -> LoadGen:
    """Return what a submission of version 2 says of LoadGen; empty if it was not asked for."""
    records = submission.get("loadgen", ())
    if not records:
        return LoadGen()
    versions = sorted({r["result"]["version"].partition(" ")[0] for r in records if r["result"]})
    return LoadGen(
        rows=tuple(row for record in records for row in _rows(record)),
        title=" ".join(["MLPerf LoadGen", *versions]),
        notes=tuple(dict.fromkeys(note for record in records for note in _notes(record))),
    )


def _rows(record: Document) -> Iterator[LoadGenRow]:
    condition = (record["scenario"], str(record["batch_size"]), str(record["threads"]))
    if record["result"] is None:
        yield LoadGenRow(*condition, "both", MISSING, MISSING, MISSING, "no result", "warn")
        return
    unit = record["result"]["unit"]
    for name, arm in record["result"]["arms"].items():
        yield LoadGenRow(
            *condition,
            model=name,
            judged_by=f"{_JUDGED_BY[record['scenario']]} {_metric(arm['metric'], unit)}",
            throughput=quantity(_median_rate(arm), "per_s"),
            queries=f"{sum(run['queries'] for run in arm['runs']):,}",
            says=_says(arm),
            tone="good" if arm["valid"] == len(arm["runs"]) else "bad",
        )


def _says(arm: Document) -> str:
    """Return "VALID (3 runs)", or with how many of them are; an error of LoadGen is named beside its word."""
    runs = arm["runs"]
    counts = {word: sum(run["validity"] == word for run in runs) for word in ("VALID", "INVALID")}
    words = [word if n == len(runs) else f"{n} {word}" for word, n in counts.items() if n]
    errors = sum(bool(run["errors"]) for run in runs)
    more = f", {errors} with errors" if errors else ""
    return f"{', '.join(words)} ({len(runs)} run{'s' if len(runs) > 1 else ''}{more})"


def _notes(record: Document) -> Iterator[str]:
    threads = f"{record['threads']} thread{'s' if record['threads'] > 1 else ''}"
    where = f"{record['scenario']}, batch size {record['batch_size']}, {threads}"
    result = record["result"]
    if result is None:
        yield f"{where}: {record['reason']}"
        return
    if result["speedup"] is None:
        yield f"{where}: no ratio: {result['speedup_reason']}"
    else:
        yield f"{where}: {quantity(result['speedup'], 'ratio')} by LoadGen's figures"
        yield _NO_INTERVAL
    for name, arm in result["arms"].items():
        for word in ("reasons", "errors", "warnings"):
            texts = dict.fromkeys(text for run in arm["runs"] for text in run[word])
            yield from (f"{name}: {text}" for text in texts)


def _median_rate(arm: Document) -> float | None:
    rates = sorted(run["samples_per_s"] for run in arm["runs"] if run["samples_per_s"] is not None)
    return rates[len(rates) // 2] if rates else None


def _metric(value: float | None, unit: str) -> str:
    return quantity(value, "ns" if unit == "ns" else "per_s")
