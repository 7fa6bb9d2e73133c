"""Train a network to name the class of an image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinytorch.core.fitting import FitSettings, fit
from tinytorch.data.split import Split
from tinytorch.models.network import Network

__all__ = ["train"]


def train(
    model: Network, train: Split, validation: Split, settings: Mapping[str, Any], seed: int
) -> list[dict[str, float | int | None]]:
    """Train `model` in place as `fit` does; return a record for each epoch. Raises ValueError for bad settings."""
    return fit(model, train, validation, FitSettings(**settings), seed)
