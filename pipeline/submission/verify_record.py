"""The record of a verification as one JSON document: see schemas/verification.v1.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.core.keys import digest_bytes
from pipeline.submission.verification import Check, outcome_of
from pipeline.submission.verify_environment import Here, Other
from pipeline.submission.verify_table import TOLERANCES

__all__ = ["Subject", "dump_record", "invalid_record", "make_record", "with_speed"]

_VERSION = 1
_LONGEST = 400


@dataclass(frozen=True)
class Subject:
    """The submission that was verified: its bytes, what they say if they could be read, and how far it was trusted."""

    data: bytes
    document: Mapping[str, Any]
    trust: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as the record has it."""
        name = self.document.get("experiment", {}).get("name", "") if self.trust else ""
        evidence = self.document.get("evidence", {}).get("digest") if self.trust else None
        return {"digest": digest_bytes(self.data), "size_bytes": len(self.data), "name": name, "evidence": evidence}


def make_record(
    subject: Subject,
    checks: Sequence[Check],
    here: Here,
    others: Sequence[Other],
    scope: Mapping[str, Any],
    competition: Mapping[str, Any] | None,
    ended: tuple[str, float],
) -> dict[str, Any]:
    """Return the record; `ended` has the moment and the seconds that it took.

    The speed of the primary comparison is added by `with_speed`, where it was measured again.
    """
    outcome = outcome_of(checks)
    return {
        "verification_version": _VERSION,
        "submission": subject.to_json(),
        "outcome": outcome,
        "level": "reproduced" if outcome == "reproduced" else subject.trust,
        "scope": dict(scope),
        "checks": [check.to_json() for check in checks],
        "speed": None,
        "competition": competition,
        "environment": [other.to_json() for other in others],
        "machine": _machine(here.machine),
        "versions": {name: str(value)[:_LONGEST] for name, value in here.versions.items()},
        "policy": dict(TOLERANCES),
        "finished_at": ended[0],
        "seconds": round(ended[1], 3),
    }


def with_speed(record: Mapping[str, Any], stated: Mapping[str, Any], measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record with a comparison as it is stated and as it was measured here."""
    both = {"found": stated["speedup"], "expected": measured["speedup"]}
    ratios = {name: {key: ratio[key] for key in ("estimate", "interval")} for name, ratio in both.items()}
    return {**record, "speed": {**ratios, "noisy": measured["noisy"], "pairs": measured["pairs"]}}


def invalid_record(subject: Subject, reason: str, here: Here, ended: tuple[str, float]) -> dict[str, Any]:
    """Return the record of a submission that was not run again, because it breaks its schema or a rule."""
    check = Check("V001", "rules", "differs", "", None, None, reason)
    scope = {"points": "none", "rebuilt": 0, "listed": 0, "measured": False}
    record = make_record(Subject(subject.data, {}, None), [check], here, [], scope, None, ended)
    return {**record, "outcome": "invalid", "level": None}


def dump_record(record: Mapping[str, Any]) -> str:
    """Return the record as indented JSON that ends with a newline."""
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _machine(facts: Mapping[str, Any]) -> dict[str, Any]:
    cores = facts.get("cores") or {}
    return {
        **{key: facts.get(key) for key in ("cpu", "architecture", "system", "kernel")},
        "blas": list(facts.get("blas") or []),
        "cores": cores.get("allowed"),
    }
