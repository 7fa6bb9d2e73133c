"""How large a network may be that is built from arguments: a line of a file must not cost gigabytes."""

from __future__ import annotations

__all__ = ["MOST_WEIGHTS", "check_weights"]

MOST_WEIGHTS = 1 << 26  # 256 MB; checking a file builds its network, and drawing more takes seconds


def check_weights(what: str, count: int) -> None:
    """Raise ValueError, naming the arguments `what`, if a network would have more than MOST_WEIGHTS weights."""
    if count > MOST_WEIGHTS:
        raise ValueError(f"{what} would make {count:,} weights, more than {MOST_WEIGHTS:,}")
