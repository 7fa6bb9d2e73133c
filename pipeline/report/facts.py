"""Facts as pairs of a name and a text: the machine, how restless it was, and where the figures come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.submission.quantities import quantity, with_interval

__all__ = ["Facts", "machine_facts", "noise_facts", "provenance_facts"]

Document = Mapping[str, Any]
Facts = tuple[tuple[str, str], ...]


def machine_facts(machine: Document) -> Facts:
    """Return what was measured on; what the system does not tell is unknown."""
    caches = ", ".join(f"{name} {quantity(size, 'B')}" for name, size in (machine["caches"] or {}).items())
    cores = machine["cores"]
    known = {
        "processor": machine["cpu"],
        "instruction sets": ", ".join(machine["flags"] or []),
        "caches": caches,
        "cores": f"{cores['allowed']} of {cores['online'] or '?'}",
        "memory": quantity(machine["memory_bytes"], "B"),
        "system": f"{machine['system']} {machine['kernel']} {machine['architecture']}",
        "virtual machine": {True: "yes", False: "no", None: None}[machine["virtual"]],
        "container": machine["container"],
        "governor": machine["governor"],
        "turbo": {True: "on", False: "off", None: None}[machine["turbo"]],
        "Python": machine["python"],
        "NumPy": machine["numpy"],
        "BLAS": ", ".join(machine["blas"]),
    }
    return tuple((name, value or "unknown") for name, value in known.items())


def noise_facts(submission: Document) -> Facts:
    """Return what is known of how restless the measurement was."""
    found, speed = submission["benchmark"]["comparisons"][0], submission["comparisons"]["speed"]
    control = with_interval(speed["control"]["estimate"], speed["control"]["interval"], "ratio")
    dropped = found.get("dropped", 0)
    share = quantity(dropped / max(dropped + speed["pairs"], 1), "share")
    clock = submission["benchmark"]["clock"]
    return (
        ("the same code twice", f"{control} against itself, in the same processes"),
        ("pairs", f"{speed['pairs']:,} in {speed['processes']} processes"),
        ("left out", f"{dropped:,} pairs that other programs interrupted ({share})"),
        ("steady state", str(found.get("steady_state", "unknown")).replace("_", " ")),
        ("clock", f"{clock['name']}, steps of {clock['resolution_ns']:,} ns"),
        ("verdict", "too restless to claim anything about speed" if speed["noisy"] else "quiet enough for claims"),
    )


def provenance_facts(provenance: Document) -> Facts:
    """Return where the figures come from: command, digests, seeds, versions, code."""
    data, seeds = provenance["data"], provenance["seeds"]
    counts = ", ".join(f"{data['counts'][role]:,} {role}" for role in ("train", "validation", "test"))
    rows = [
        ("command", provenance["command"]),
        ("experiment", provenance["experiment"]),
        ("data", f"{data['name']}: {counts}"),
        *((f"{role} data", data["roles"][role]) for role in ("train", "validation", "test")),
        *((f"{side} weights", provenance["weights"][side]) for side in ("baseline", "optimized")),
        *((f"{side} predictions", provenance["predictions"][side]) for side in ("baseline", "optimized")),
        ("raw samples", provenance["samples"]),
        ("seed", f"{seeds['submitted']} (tried: {', '.join(map(str, seeds['tried']))})"),
        ("versions", ", ".join(f"{name} {version}" for name, version in sorted(provenance["versions"].items()))),
        *((f"code of {stage}", digest) for stage, digest in sorted((provenance["code"] or {}).items())),
    ]
    return tuple(rows)
