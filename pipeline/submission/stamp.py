"""Say of a finished submission whether its measurement was made by this run or found in the store; nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["STATUSES", "stamp"]

STATUSES = ("fresh", "reused")


def stamp(submission: Mapping[str, Any], reused: bool) -> dict[str, Any]:
    """Return the submission with `measurement.status` set; everything else is the very same values in the same order.

    Both words are in the schema, so a valid submission stays valid.
    """
    status = STATUSES[reused]
    return {**submission, "measurement": {**submission["measurement"], "status": status}}
