"""The errors tinytorch raises beyond plain ValueError and TypeError.

TinyTorchError (ValueError)
├── DataFileError    a data file is missing, truncated or of another format
├── ModelFileError   a model file (or the state given to a layer) is not what it declares
├── TargetError      a layer name or glob matches nothing
├── KernelsError     the native kernels that were asked for are not here
├── TrainingDiverged loss or weights are no finite numbers any more
└── NoEffectError    a step was asked for and changed nothing

Wrong shapes and arguments are plain ValueError or TypeError, as the course has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

__all__ = [
    "DataFileError",
    "KernelsError",
    "ModelFileError",
    "NOTHING_THERE",
    "NoEffectError",
    "TargetError",
    "TinyTorchError",
    "TrainingDiverged",
]

NOTHING_THERE = "nothing there"  # found where a folder with data should be


class TinyTorchError(ValueError):
    """The base of this package's own errors."""


class DataFileError(TinyTorchError):
    """A data file is not what was expected; the message is one line ``PATH: found X, expected Y``."""

    def __init__(self, path: str | Path, found: str, expected: str) -> None:
        super().__init__(f"{path}: found {found}, expected {expected}")
        self.path, self.found, self.expected = str(path), found, expected

    def __reduce__(self) -> tuple[type[DataFileError], tuple[str, str, str]]:
        """Keep the three facts when the error crosses a process boundary."""
        return DataFileError, (self.path, self.found, self.expected)


class ModelFileError(TinyTorchError):
    """A model file, or the arrays given for a layer, contradict what they declare."""


class KernelsError(TinyTorchError):
    """Native kernels were asked for that this installation or this processor does not have."""


class TrainingDiverged(TinyTorchError):
    """A training cannot go on, because its loss or its weights are NaN or infinite."""


class TargetError(TinyTorchError):
    """A layer pattern matches nothing; carries the pattern, the valid names and the nearest of them."""

    def __init__(self, pattern: str, names: Sequence[str]) -> None:
        self.pattern = pattern
        self.names = tuple(names)
        self.nearest = tuple(get_close_matches(pattern, self.names, n=3, cutoff=0.4))
        hint = f" Did you mean {' or '.join(map(repr, self.nearest))}?" if self.nearest else ""
        valid = ", ".join(self.names) or "none"
        super().__init__(f"{pattern!r} matches no layer.{hint} Layers here: {valid}.")

    def __reduce__(self) -> tuple[type[TargetError], tuple[str, tuple[str, ...]]]:
        """Keep pattern and names when the error crosses a process boundary."""
        return TargetError, (self.pattern, self.names)


class NoEffectError(TinyTorchError):
    """A step matched no layer or changed nothing, although it was asked to."""
