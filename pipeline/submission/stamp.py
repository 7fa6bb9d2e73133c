"""Add to a finished submission what only the run knows: measured now or found stored, by which code, how to repeat.

These facts are not part of the stage that builds it: an edit of code that changes no result must not build it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["STATUSES", "stamp"]

STATUSES = ("fresh", "reused")


def stamp(
    submission: Mapping[str, Any],
    *,
    reused: bool,
    code: Mapping[str, str],
    command: str,
    environment: Mapping[str, str] | None = None,
    competition: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the submission with its measurement's status, the digest of each stage's code, and the command set.

    `environment` names what else the bits of weights and answers depend on: libraries, instruction sets, kernels.
    `competition` has the name and the digest of the rules that it was made for, None if it was made for none.

    Everything else is the very same values in the same order. All that is set is of the form that the schema asks for,
    so a valid submission stays valid.
    """
    return {
        **submission,
        "measurement": {**submission["measurement"], "status": STATUSES[reused]},
        "provenance": {
            **submission["provenance"],
            "code": dict(code),
            "command": command,
            **({} if environment is None else {"environment": dict(environment)}),
            **({} if competition is None else {"competition": dict(competition)}),
        },
    }
