"""The stage of the chains: the texts that come in and one number, joined. The least work that depends on its inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.core.stage import Inputs

__all__ = ["execute"]


def execute(spec: Mapping[str, Any], inputs: Inputs) -> dict[str, Any]:
    """Return the inputs' texts and this node's number as one text."""
    return {"out": " ".join([*(inputs[role] for role in inputs), str(spec["number"])])}
