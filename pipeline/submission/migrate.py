"""Bring a submission of the course's format, version 1, to the keys of version 2, without inventing anything.

What version 1 says is kept to the last digit. What it does not say is null, with the reason under `migrated.missing`;
what version 2 has no place for stands under `migrated.kept`. The result is `unverified`, as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from pipeline.core.keys import digest_bytes
from pipeline.schemas import read_schema

__all__ = ["SCHEMA", "broken_migration", "migrate"]

SCHEMA = "submission.v2.migrated"

Broken = tuple[tuple[str | int, ...], str]

_METRICS = ("baseline", "optimized")
_MEDIAN = "latency_ms_median"
# key -> why version 1 does not have it
_REASONS = {
    "accuracy": "version 1 has no counts of right answers and no intervals",
    "benchmark": "version 1 has no samples, percentiles or intervals",
    "comparisons": "version 1 has no intervals, so that nothing can be claimed",
    "constraints": "version 1 names no limits",
    "effects": "version 1 does not say what each technique did",
    "experiment": "version 1 does not hold the experiment",
    "improvements": "the file has no such key, which version 1 allows",
    "machine": "version 1 says no more of the machine than system_info",
    "measurement": "version 1 does not say how it was measured",
    "optimized": "the file has no such key, which version 1 allows",
    "profile": "version 1 has no times of layers",
    "provenance": "version 1 has no digests and no seeds",
    "selection": "version 1 does not say how many points were tried",
    "size": "version 1 has no bytes of stored files",
    "warnings": "version 1 has no warnings: their absence says nothing",
    **{f"{side}.metrics.{_MEDIAN}": "the file has no median, which version 1 allows" for side in _METRICS},
}


def migrate(document: Mapping[str, Any], source: bytes) -> dict[str, Any]:
    """Return a valid submission of version 1 as a document of the schema `submission.v2.migrated`.

    `source` are the bytes of its file, whose digest stands in the result.
    """
    schema = read_schema(SCHEMA)
    known, kept = _divided(document, schema, schema)
    moment, reason = _moment(document["timestamp"])
    if moment is None:
        kept["timestamp"] = document["timestamp"]
    found = {key: known.get(key) for key in schema["required"] if key != "migrated"}
    if "student_name" in known:
        found["student_name"] = known["student_name"]
    for side in _METRICS:
        if found[side] is not None:
            metrics = {_MEDIAN: None, **found[side]["metrics"]}
            found[side] = {**found[side], "metrics": metrics}
    found |= {"schema_version": 2, "timestamp": moment}
    missing = {path: _REASONS.get(path, reason) for path in sorted(map(".".join, _nulls(found)))}
    return {**found, "migrated": {"from_version": 1, "source": digest_bytes(source), "missing": missing, "kept": kept}}


def broken_migration(document: Mapping[str, Any]) -> Iterator[Broken]:
    """Yield (path, what is wrong there) where a migrated document has a null without a reason, or a reason too many."""
    missing = document["migrated"]["missing"]
    nulls = {".".join(path): path for path in _nulls({k: v for k, v in document.items() if k != "migrated"})}
    for name in nulls.keys() - missing.keys():
        yield nulls[name], f"found null, expected its reason in migrated.missing.{name}"
    for name in missing.keys() - nulls.keys():
        yield ("migrated", "missing", name), "found a reason, expected none: nothing is null there"


def _divided(value: Mapping[str, Any], node: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """Return what of an object version 2 has keys for, and the rest, both where they stood."""
    known: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for key, item in value.items():
        below = node["properties"].get(key)
        if below is None or key in ("migrated", "schema_version") or below.get("const", 0) is None:
            rest[key] = item
            continue
        if "$ref" in below:
            below = schema["$defs"][below["$ref"].rpartition("/")[2]]
        if isinstance(item, Mapping):
            known[key], left = _divided(item, below, schema)
            if left:
                rest[key] = left
        else:
            known[key] = item
    return known, rest


def _moment(text: str) -> tuple[str | None, str]:
    """Return a moment of version 1 in UTC, to the last digit, or None and why there is none."""
    whole, fraction, zone = text[:19], "", text[19:]
    if zone.startswith("."):
        digits = len(zone[1:]) - len(zone[1:].lstrip("0123456789"))
        fraction, zone = zone[: 1 + digits], zone[1 + digits :]
    if not zone:
        return None, "version 1 gave it without a time zone: see migrated.kept.timestamp"
    try:
        moment = datetime.fromisoformat(whole + zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None, "it is no moment of the calendar: see migrated.kept.timestamp"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z", ""


def _nulls(value: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, item in value.items():
        if item is None:
            yield (*path, key)
        elif isinstance(item, Mapping):
            yield from _nulls(item, (*path, key))
