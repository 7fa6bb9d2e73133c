"""One node with all that is needed to compute it anywhere; `pipeline.execute.perform` computes it.

Imports nothing heavy: the process that hands out tasks has no numpy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.core.keys import Preimage
from pipeline.core.plan import Node
from pipeline.store.record import Artifact

__all__ = ["Task"]


class Task(NamedTuple):
    """A node, its action key with what the key is made of, and its inputs by role; plain values that can be pickled.

    `again` computes it even if its key is stored by now (a fresh measurement, a forced stage).
    """

    node: Node
    key: str
    preimage: Preimage
    inputs: Mapping[str, Artifact]
    again: bool = False
