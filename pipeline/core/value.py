"""When two JSON values of an experiment are one and the same: 8 and 8.0 are, true and 1 are not."""

from __future__ import annotations

import json

from pipeline.core.experiment import JSON

__all__ = ["canonical", "text_of"]


def canonical(value: JSON) -> JSON:
    """Return a value with whole floats as integers, so that 0 and 0.0 are one point."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: canonical(item) for key, item in value.items()}
    return value


def text_of(value: JSON) -> str:
    """Return a text that two canonical values share exactly if they are the same."""
    return json.dumps(value, sort_keys=True)
