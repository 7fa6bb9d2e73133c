"""The older import path of tinytorch.olympics."""

from __future__ import annotations

from tinytorch.olympics import (
    BenchmarkReport,
    OlympicEvent,
    SimpleMLP,
    generate_submission,
    qualifies_event,
    save_submission,
    validate_submission_schema,
)

__all__ = [
    "BenchmarkReport",
    "OlympicEvent",
    "SimpleMLP",
    "generate_submission",
    "qualifies_event",
    "save_submission",
    "validate_submission_schema",
]
