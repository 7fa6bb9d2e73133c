"""Where the machine and the software that made a submission are not those that run it again.

Only what is stated can be compared. What may change the bits of a result, by rounding or by code, turns exact
comparisons into those of the tolerances; what may change the speed makes a ratio a different quantity.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["Here", "Other", "other_environment"]


@dataclass(frozen=True)
class Here:
    """What runs a submission again: `machine` as in a submission, versions by name, and the digest of stages' code.

    `environment` names what the bits of a result depend on besides, as the keys of results have it; `is_timed` if the
    steps read measured times, on which their result then depends.
    """

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    code: Mapping[str, str]
    environment: Mapping[str, str]
    is_timed: bool = False


@dataclass(frozen=True)
class Other:
    """A fact that is another one here; it affects `bits`, `speed` or `nothing`."""

    what: str
    found: str
    expected: str
    affects: str

    def to_json(self) -> dict[str, Any]:
        """Return it as the record has it."""
        return {"what": self.what, "found": self.found[:400], "expected": self.expected[:400], "affects": self.affects}


# what -> (where it is stated, what it affects); of a machine's parts, libraries and versions
_FACTS: dict[str, tuple[tuple[str, ...], str]] = {
    "processor": (("machine", "cpu"), "speed"),
    "architecture": (("machine", "architecture"), "bits"),
    "instruction sets": (("machine", "flags"), "bits"),
    "BLAS": (("machine", "blas"), "bits"),
    "caches": (("machine", "caches"), "speed"),
    "system": (("machine", "system"), "nothing"),
    "system's version": (("machine", "kernel"), "nothing"),
    "python": (("versions", "python"), "bits"),
    "numpy": (("versions", "numpy"), "bits"),
    "package": (("versions", "package"), "bits"),
    "kernels": (("versions", "kernels"), "bits"),
}
# Of these a submission's `environment` says exactly what made its bits; its machine is that of the benchmark.
_SAID_EXACTLY = ("architecture", "instruction sets", "BLAS", "python", "numpy", "kernels")
_NAMES = {"arch": "architecture", "simd": "instruction sets", "blas": "BLAS"}
_CODE = {
    "data": "bits",
    "train": "bits",
    "optimize": "bits",
    "evaluate": "bits",
    "benchmark": "speed",
    "generate": "speed",
}


def other_environment(document: Mapping[str, Any], here: Here) -> list[Other]:
    """Return what is another here than a valid submission states, in a fixed order; what is not known is left out."""
    stated = document["provenance"].get("environment")
    facts = [*_facts(document, here)]
    if stated:
        facts = [
            replace(fact, affects="speed") if fact.what in _SAID_EXACTLY and fact.affects == "bits" else fact
            for fact in facts
        ]
        facts += _environment(stated, here.environment)
    if here.is_timed:
        facts.append(Other("times that steps read", "of the machine that it was made on", "of this machine", "bits"))
    return [*facts, *_code(document, here)]


def _environment(stated: Mapping[str, str], here: Mapping[str, str]) -> Iterator[Other]:
    for name in sorted(stated.keys() | here.keys()):
        found, expected = stated.get(name), here.get(name)
        if found != expected:
            parts = [None if text is None else text.split(",") for text in (found, expected)]
            yield Other(f"{_NAMES.get(name, name)[:80]} of training", *_told(*parts), "bits")


def _facts(document: Mapping[str, Any], here: Here) -> Iterator[Other]:
    parts = {"machine": here.machine, "versions": here.versions}
    stated = {"machine": document["machine"], "versions": document["provenance"]["versions"]}
    for what, ((part, key), affects) in _FACTS.items():
        found, expected = stated[part].get(key), parts[part].get(key)
        if expected is not None and found != expected:
            yield Other(what, *_told(found, expected), affects)


def _code(document: Mapping[str, Any], here: Here) -> Iterator[Other]:
    code = document["provenance"]["code"] or {}
    for stage, affects in _CODE.items():
        if stage in here.code and code.get(stage) != here.code[stage]:
            yield Other(f"code of {stage}", str(code.get(stage, "not stated")), here.code[stage], affects)


def _told(found: Any, expected: Any) -> tuple[str, str]:
    """Return two values as texts; of lists, what only one of them has."""
    if isinstance(found, list) and isinstance(expected, list) and (set(found) ^ set(expected)):
        only = [sorted(map(str, set(one) - set(other))) for one, other in ((found, expected), (expected, found))]
        return " ".join(only[0]) or "none of them", " ".join(only[1]) or "none of them"
    return _text(found), _text(expected)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in sorted(value.items()))
    return "not stated" if value is None else str(value)
