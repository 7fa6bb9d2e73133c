"""Read what MLPerf's LoadGen wrote about a run: mlperf_log_summary.txt and mlperf_log_detail.txt.

Pure and bounded; the files are data that anybody may have written. The detail log has one JSON object on each line
after ":::MLLOG"; the summary repeats its verdict for people, and both must agree. Format: mlcommons/inference,
loadgen/logging.cc and results.cc.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.errors import StageFailed

__all__ = ["DETAIL", "LoadGenRun", "LogUnreadable", "Logs", "MARKER", "SUMMARY", "parse_run", "read_log", "read_logs"]

SUMMARY = "mlperf_log_summary.txt"
DETAIL = "mlperf_log_detail.txt"
MARKER = ":::MLLOG"
_MOST_BYTES = 64 * 2**20  # the detail log lists the loaded samples: some 7 bytes each
_MOST_LINES = 100_000
_MOST_MESSAGES = 50
_LONGEST_MESSAGE = 500

# C++ prints these where JSON has no word for them, such as a rate over no time.
_NOT_FINITE = re.compile(r'("value": )-?(?:inf|nan)(?=,)')
_PERCENTILES = ("50.00", "90.00", "95.00", "97.00", "99.00", "99.90")
_VALIDITIES = ("VALID", "INVALID")

# What each scenario is judged by: the key, its unit, and whether less is better.
_METRICS = {
    "SingleStream": ("early_stopping_latency_ss", "ns"),
    "MultiStream": ("early_stopping_latency_ms", "ns"),
    "Server": ("result_completed_samples_per_sec", "samples/s"),
    "Offline": ("result_samples_per_second", "samples/s"),
}


class LogUnreadable(StageFailed):
    """A log of LoadGen is missing, too large, or not what LoadGen writes."""

    code = "E312"


@dataclass(frozen=True)
class Logs:
    """The two logs of one run, as texts."""

    summary: str
    detail: str


@dataclass(frozen=True)
class LoadGenRun:
    """What LoadGen says of one performance run.

    `validity` is its word, "VALID" or "INVALID", `reasons` why it is invalid. `metric` is what the scenario is judged
    by: the early-stopped 90th (SingleStream) or 99th (MultiStream) percentile in ns, or samples per second; None where
    LoadGen had too few queries. `latency_ns` has min, max, mean and percentiles by name ("p99.90"), of queries in
    MultiStream and of samples else. `constraints` tells which conditions are met. `effective` are the settings that
    were in force. Errors and warnings are LoadGen's lines, word for word, cut at 500 characters and 50 lines.
    """

    version: str
    scenario: str
    validity: str
    reasons: tuple[str, ...]
    queries: int
    samples_per_query: int
    metric: float | None
    unit: str
    samples_per_s: float | None
    latency_ns: Mapping[str, int]
    constraints: Mapping[str, bool]
    early_stopping: str
    effective: Mapping[str, Any]
    errors: tuple[str, ...]
    warnings: tuple[str, ...]


def read_logs(folder: Path) -> Logs:
    """Return the logs in a folder; raises LogUnreadable if one is missing, too large, or not text."""
    return Logs(*(read_log(folder / name).decode("utf-8", "replace") for name in (SUMMARY, DETAIL)))


def read_log(path: Path, most_bytes: int = _MOST_BYTES) -> bytes:
    """Return what a log of LoadGen holds; raises LogUnreadable if it is missing or larger than `most_bytes`."""
    try:
        with open(path, "rb") as file:
            data = file.read(most_bytes + 1)
    except OSError as error:
        raise LogUnreadable(f"LoadGen left no readable {path.name}: {error.strerror}") from error
    if len(data) > most_bytes:
        raise LogUnreadable(f"{path.name} is larger than {most_bytes // 2**20} MiB")
    return data


def parse_run(logs: Logs) -> LoadGenRun:
    """Return what the logs of a performance run say; raises LogUnreadable if they are not LoadGen's or disagree."""
    entries = _entries(logs.detail)
    log = _Log(entries)
    scenario, validity = log.text("effective_scenario"), log.text("result_validity")
    if scenario not in _METRICS or validity not in _VALIDITIES:
        raise LogUnreadable(f"{DETAIL}: scenario {scenario[:40]!r} with the result {validity[:40]!r} is unknown")
    errors = _messages(entries, "is_error")
    _check_summary(logs.summary, scenario, validity, sum(_is(entry, "is_error") for entry in entries))
    key, unit = _METRICS[scenario]
    metric = log.number(key)
    constraints = _constraints(log)
    reasons = _reasons(log, constraints, errors) if validity == "INVALID" else ()
    return LoadGenRun(
        version=log.text("loadgen_version")[:80],
        scenario=scenario,
        validity=validity,
        reasons=reasons,
        queries=int(log.number("result_query_count") or 0),
        samples_per_query=int(log.number("effective_samples_per_query") or 0),
        metric=metric if metric or unit != "ns" else None,  # 0 stands for no estimate
        unit=unit,
        samples_per_s=_throughput(log, scenario),
        latency_ns=_latencies(log, "query_latency" if scenario == "MultiStream" else "latency"),
        constraints=constraints,
        early_stopping=_line(log.text("early_stopping_result", "")),
        effective={name: entry["value"] for name, entry in log.settings().items()},
        errors=errors,
        warnings=_messages(entries, "is_warning"),
    )


class _Log:
    """The first entry of each key, with its value checked for its kind."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._first: dict[str, dict[str, Any]] = {}
        for entry in entries:
            self._first.setdefault(entry["key"], entry)

    def text(self, key: str, default: str | None = None) -> str:
        value = self._first.get(key, {}).get("value", default)
        if not isinstance(value, str):
            raise LogUnreadable(f"{DETAIL}: {key} is {_kind(value)}, expected a text")
        return value

    def number(self, key: str) -> float | None:
        value = self._first.get(key, {}).get("value")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise LogUnreadable(f"{DETAIL}: {key} is {_kind(value)}, expected a number")
        return value

    def truth(self, key: str) -> bool | None:
        value = self._first.get(key, {}).get("value")
        if value is not None and not isinstance(value, bool):
            raise LogUnreadable(f"{DETAIL}: {key} is {_kind(value)}, expected true or false")
        return value

    def settings(self) -> dict[str, dict[str, Any]]:
        found = {key.removeprefix("effective_"): entry for key, entry in self._first.items() if "effective_" in key}
        return {key: entry for key, entry in found.items() if isinstance(entry["value"], bool | int | float | str)}


def _entries(detail: str) -> list[dict[str, Any]]:
    lines = detail.splitlines()
    if len(lines) > _MOST_LINES:
        raise LogUnreadable(f"{DETAIL} has more than {_MOST_LINES:,} lines")
    entries = [_entry(number, line) for number, line in enumerate(lines, 1) if line.startswith(MARKER)]
    if not entries:
        raise LogUnreadable(f"{DETAIL} has no line that begins with {MARKER}")
    return entries


def _entry(number: int, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(_NOT_FINITE.sub(r"\1null", line.removeprefix(MARKER)))
    except (RecursionError, ValueError) as error:
        raise LogUnreadable(f"{DETAIL}, line {number}: is not JSON ({type(error).__name__})") from None
    whole = isinstance(entry, dict) and isinstance(entry.get("key"), str) and isinstance(entry.get("metadata"), dict)
    if not whole or "value" not in entry:
        raise LogUnreadable(f"{DETAIL}, line {number}: has no key, value and metadata")
    return dict(entry)


def _check_summary(summary: str, scenario: str, validity: str, errors: int) -> None:
    """Raise LogUnreadable unless the summary says the same as the detail log."""
    found = dict(re.findall(r"^(Scenario|Result is) *: *(\S+)", summary, re.MULTILINE))
    expected = {"Scenario": scenario, "Result is": validity}
    if found != expected:
        raise LogUnreadable(f"{SUMMARY} says {found}, but {DETAIL} says {expected}")
    counted = re.search(r"^(No|\d{1,9}) errors? encountered", summary, re.MULTILINE | re.IGNORECASE)
    if counted is None or (0 if counted[1] == "No" else int(counted[1])) != errors:
        raise LogUnreadable(f"{SUMMARY} counts {counted[1] if counted else 'no'} errors, {DETAIL} has {errors}")


def _constraints(log: _Log) -> dict[str, bool]:
    keys = {
        "min_duration": "result_min_duration_met",
        "min_queries": "result_min_queries_met",
        "early_stopping": "early_stopping_met",
        "latency": "result_perf_constraints_met",
    }
    found = {name: log.truth(key) for name, key in keys.items()}
    return {name: met for name, met in found.items() if met is not None}


def _reasons(log: _Log, constraints: Mapping[str, bool], errors: tuple[str, ...]) -> tuple[str, ...]:
    """Return why a run is invalid: the conditions that are not met, in LoadGen's words."""
    unmet = [f"not met: {name.replace('_', ' ')}" for name, met in constraints.items() if not met]
    texts = [", ".join(unmet), _line(log.text("result_invalid_reason", ""))]
    if constraints.get("early_stopping") is False:
        texts.append(_line(log.text("early_stopping_result", "")))
    return tuple(dict.fromkeys(text for text in (*texts, *errors) if text))


def _latencies(log: _Log, what: str) -> dict[str, int]:
    of = "per_query_latency" if what == "query_latency" else what
    keys = {name: f"result_{name}_{what}_ns" for name in ("min", "mean", "max")}
    keys |= {f"p{p.removesuffix('.00')}": f"result_{p}_percentile_{of}_ns" for p in _PERCENTILES}
    found = {name: log.number(key) for name, key in keys.items()}
    return {name: int(value) for name, value in found.items() if value is not None}


def _throughput(log: _Log, scenario: str) -> float | None:
    """Return samples per second, LoadGen's own work included."""
    if scenario == "SingleStream":
        return log.number("result_qps_with_loadgen_overhead")
    if scenario == "MultiStream":
        mean, size = log.number("result_mean_query_latency_ns"), log.number("effective_samples_per_query")
        return size * 1e9 / mean if mean and size else None
    return log.number(_METRICS[scenario][0])


def _is(entry: Mapping[str, Any], mark: str) -> bool:
    return entry["metadata"].get(mark) is True


def _messages(entries: list[dict[str, Any]], mark: str) -> tuple[str, ...]:
    found = [_line(f"{entry['key']}: {entry['value']}") for entry in entries if _is(entry, mark)]
    more = [f"and {len(found) - _MOST_MESSAGES} more"] if len(found) > _MOST_MESSAGES else []
    return (*found[:_MOST_MESSAGES], *more)


def _line(text: str) -> str:
    return " ".join(text.replace(" * ", " ").split())[:_LONGEST_MESSAGE]


def _kind(value: Any) -> str:
    return "missing" if value is None else f"a {type(value).__name__}"
