"""What a session was planned to be, as records keep it: kernels, threads, working set, and the kernel of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.measure import machine
from tinytorch.kernels import native
from tinytorch.runtime.session import InferenceSession

__all__ = ["fitting_cache", "session_record"]

Record = dict[str, Any]


def session_record(session: InferenceSession, times: Mapping[str, float] | None = None) -> Record:
    """Describe a session: instruction set or "reference" and why, threads, the bytes a call touches, layers.

    `times` has what each layer takes within a call, in ns by its name, where that was measured.
    """
    return {
        "instruction_set": session.kernels,
        "reference_reason": native.why_not() or None,
        "threads": session.threads,
        "batch_size": session.batch,
        "working_set_bytes": session.working_set_bytes,
        "fits": fitting_cache(session.working_set_bytes, machine.facts()["caches"]),
        "layers": [
            {
                "name": layer.name,
                "names": list(layer.names),
                "computed_by": layer.kernel,
                "size_bytes": layer.size_bytes,
                "candidates_ns": dict(layer.candidates),
                **({"time_ns": times[layer.name]} if times else {}),
            }
            for layer in session.layers
        ],
    }


def fitting_cache(size_bytes: int, caches: Mapping[str, int] | None) -> str | None:
    """Return the smallest cache that holds so many bytes, "memory" if none does; None where caches are unknown."""
    if caches is None:
        return None
    fitting = [(size, name) for name, size in caches.items() if size >= size_bytes and not name.endswith("i")]
    return min(fitting)[1] if fitting else "memory"
