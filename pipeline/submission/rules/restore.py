"""From evidence that anybody may have written back to what the worker processes read; other forms are refused.

Nothing is computed here; the samples that come out are positive integers of matching shapes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.measure.job import ARMS
from pipeline.measure.scenario import SCENARIOS
from pipeline.measure.summary import Question
from pipeline.submission.evidence import Evidence
from pipeline.submission.rules.texts import check_texts, parity_of, times_of

__all__ = ["processes_of", "question_of"]

# Bounds of the work that strangers can cause: a real process has some 1,750 rows.
_MOST_PROCESSES = 200
_MOST_ROWS = 20_000
_GAUGES = ("others", "stolen", "paused", "pauses")
_RATES = ("rate_per_s", "served_ns", "most_per_s", "trials")
_TEXTS, _NULLABLE = ("scenario", "kv_cache"), ("latency_limit_ms", "rate_per_s")
_OF_TEXTS = ("prompt_tokens", "new_tokens", "kv_cache")  # of a question in the scenario generate alone


def question_of(conditions: Mapping[str, Any]) -> Question:
    """Return what was asked of a comparison; raises ValueError if the record has no such form."""
    found = conditions.get("question")
    names = {field.name for field in dataclasses.fields(Question)}
    if not isinstance(found, dict) or found.get("scenario") not in list(SCENARIOS):
        raise ValueError("has no question")
    is_generate = found["scenario"] == "generate"
    if set(found) != (names if is_generate else names - {*_OF_TEXTS}):
        raise ValueError("has no question")
    for name, value in found.items():
        if name not in _TEXTS and not (value is None and name in _NULLABLE) and not _is_number(value):
            raise ValueError(f"has the question's {name} wrong")
    if found["batch_size"] < 1 or found["samples_per_query"] < 1 or found["threads"] < 1:
        raise ValueError("has a question about nothing")
    if (found["scenario"] == "server") != (found["latency_limit_ms"] is not None):
        raise ValueError("has a limit without a server, or a server without a limit")
    if not isinstance(found["seed"], int) or found["seed"] < 0:
        raise ValueError("has no seed")
    if is_generate:
        check_texts(found)
    return Question(**found)


def processes_of(index: int, evidence: Evidence) -> list[dict[str, Any]]:
    """Return the processes of comparison number `index`, as `pipeline.measure.summary.comparison` takes them.

    Raises ValueError, with what is wrong, if there are no such processes.
    """
    conditions = evidence.conditions[index]
    loops = conditions.get("loops")
    if not isinstance(loops, list) or not 2 <= len(loops) <= _MOST_PROCESSES:
        raise ValueError("has no two processes")
    found = [_process(index, number, len(loops), evidence) for number in range(len(loops))]
    if question_of(conditions).scenario != "generate":
        return found
    parity = parity_of(index, evidence, question_of(conditions).new_tokens or 0)
    return [
        {**process, "generate": times_of(index, number, len(process["wall_ns"]), evidence, parity)}
        for number, process in enumerate(found)
    ]


def _process(index: int, number: int, count: int, evidence: Evidence) -> dict[str, Any]:
    conditions = evidence.conditions[index]

    def of(name: str, is_valid: Callable[[Any], bool]) -> Any:
        values = conditions.get(name)
        if not isinstance(values, list) or len(values) != count or not is_valid(values[number]):
            raise ValueError(f"has {name} of process {number} wrong")
        return values[number]

    def array(name: str, least: int, dtype: type[np.signedinteger[Any]] = np.int64) -> NDArray[np.int64]:
        return _integers(evidence, f"{index}.{name}", least, dtype)

    wall = np.stack(_same_length([array(f"{arm}.{number}.wall_ns", 1) for arm in ARMS]), axis=1)
    cpu = np.stack(_same_length([array(f"{arm}.{number}.cpu_ns", 0) for arm in ARMS]), axis=1)
    if not len(wall) or wall.shape != cpu.shape:
        raise ValueError(f"has no times of process {number}")
    if len(wall) > _MOST_ROWS:
        raise ValueError(f"has {len(wall)} rows of process {number}, at most {_MOST_ROWS} are allowed")
    order, copy = evidence.samples.get(f"{index}.order.{number}"), array(f"copy.{number}", 0, np.int8)
    if order is None or order.shape != wall.shape or len(copy) != len(wall):
        raise ValueError(f"has orders or copies of process {number} that are not those of its times")
    tails = [array(f"{arm}.{number}.tail_ns", 1) for arm in ARMS]
    server = of("server", lambda value: value is None or _is_server(value))
    return {
        "wall_ns": wall,
        "cpu_ns": cpu,
        "order": order,
        "copy": copy,
        "tail_ns": tails,
        "loops": of("loops", lambda value: _is_count(value) and value >= 1),
        "empty_ns": of("empty_ns", lambda value: _is_number(value) and value >= 0),
        "cold_ns": of("cold_ns", lambda value: _is_number(value) and value > 0),
        "first": of("first", lambda value: value in ARMS),
        "steady": of("steady", lambda value: isinstance(value, bool)),
        "is_cpu_time_fine": of("is_cpu_time_fine", lambda value: isinstance(value, bool)),
        "conditions": {
            "gauges": of("gauges", _is_gauges),
            "quota": of("quotas", _is_number_or_none),
            "pinned": of("pinned", lambda value: value is None or isinstance(value, list)),
        },
        **({"server": _with_latencies(server, tails)} if server else {}),
    }


def _integers(evidence: Evidence, name: str, least: int, dtype: type[np.signedinteger[Any]]) -> NDArray[np.int64]:
    found = evidence.samples.get(name)
    if found is None or found.ndim != 1 or found.dtype != dtype:
        raise ValueError(f"has no list of whole numbers {name[:80]!r}")
    values = found.astype(np.int64)
    if len(values) and values.min() < least:
        raise ValueError(f"has a number below {least} in {name[:80]!r}")
    return values


def _same_length(columns: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    if len({len(column) for column in columns}) != 1:
        raise ValueError("has arms with different numbers of samples")
    return columns


def _with_latencies(server: Mapping[str, Any], tails: list[NDArray[np.int64]]) -> dict[str, Any]:
    arms = {arm: {**server["arms"][arm], "latency_ns": tail.tolist()} for arm, tail in zip(ARMS, tails, strict=True)}
    return {"queries": server["queries"], "arms": arms}


def _is_server(value: Any) -> bool:
    if not isinstance(value, dict) or not _is_count(value.get("queries")) or not isinstance(value.get("arms"), dict):
        return False
    return set(value["arms"]) == set(ARMS) and all(map(_is_served, value["arms"].values()))


def _is_served(arm: Any) -> bool:
    if not isinstance(arm, dict) or not {*_RATES, "reason"} <= set(arm):
        return False
    if not (arm["reason"] is None or isinstance(arm["reason"], str)) or not (arm["rate_per_s"] or arm["reason"]):
        return False
    return all(_is_number_or_none(arm[name]) for name in _RATES[:1]) and all(_is_number(arm[n]) for n in _RATES[1:])


def _is_gauges(value: Any) -> bool:
    if not isinstance(value, dict) or not _is_number(value.get("elapsed_s")) or value["elapsed_s"] <= 0:
        return False
    return all(name in value and _is_number_or_none(value[name]) for name in _GAUGES)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2.0**53


def _is_number_or_none(value: Any) -> bool:
    return value is None or _is_number(value)
