"""How a plan is executed: where, by how many at once, what a node may take, and which nodes are meant.

None of this is part of any key: a result does not depend on it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Limits", "UNLIMITED"]


class Limits(NamedTuple):
    """The settings of one execution.

    `executor` is a name of the EXECUTORS table, `workers` how many nodes may run at once, `scheduler` the address of a
    cluster. `retries` is how often a node that failed is tried again; `timeout_s` is how long a node may work, waiting
    for another run not included, and `memory_limit_bytes` is what the process of one node may allocate. With
    `fail_fast` nothing new starts after a failure. Nodes of the stages in `force` are computed even if their result is
    stored; `wanted` holds the ids of the nodes to bring up to date, with all that feeds them (None: the whole plan).
    """

    executor: str = "inline"
    workers: int = 1
    scheduler: str | None = None
    retries: int = 0
    timeout_s: float | None = None
    memory_limit_bytes: int | None = None
    fail_fast: bool = False
    force: frozenset[str] = frozenset()
    wanted: frozenset[str] | None = None


UNLIMITED = Limits()
