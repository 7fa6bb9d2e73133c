"""The record of one executed node: its key's pre-image and the artifacts that came out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pipeline.core.keys import Preimage

__all__ = ["Artifact", "Record"]

_DIGEST = re.compile("[0-9a-f]{64}")


class Artifact(NamedTuple):
    """A stored output: SHA-256 of its bytes, the codec that reads them, and their number."""

    digest: str
    codec: str
    size: int


class Record(NamedTuple):
    """What a node did: `finished_at` in seconds since the epoch, `seconds` the stage's own work.

    When a measuring node is measured again under this key, the outputs of the sessions before stay in `earlier`.
    """

    key: str
    label: str
    preimage: Preimage
    outputs: Mapping[str, Artifact]
    finished_at: float
    seconds: float
    earlier: tuple[Mapping[str, Artifact], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {
            "key": self.key,
            "label": self.label,
            "preimage": self.preimage.to_json(),
            "outputs": _outputs_json(self.outputs),
            "finished_at": self.finished_at,
            "seconds": self.seconds,
            "earlier": [_outputs_json(outputs) for outputs in self.earlier],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Rebuild a record; raises KeyError, TypeError or ValueError when `data` is not what `to_json` gives."""
        return cls.of(data["key"], Preimage.from_json(data["preimage"]), data)

    @classmethod
    def of(cls, key: str, preimage: Preimage, data: Mapping[str, Any]) -> Record:
        """Rebuild a record whose key, with what it is made of, is known; `data` has the rest. Raises as `from_json`."""
        return cls(
            key,
            data["label"],
            preimage,
            _outputs(data["outputs"]),
            data["finished_at"],
            data["seconds"],
            tuple(_outputs(outputs) for outputs in data["earlier"]),
        )


def _outputs_json(outputs: Mapping[str, Artifact]) -> dict[str, list[Any]]:
    return {role: [artifact.digest, artifact.codec, artifact.size] for role, artifact in outputs.items()}


def _outputs(data: Mapping[str, Any]) -> dict[str, Artifact]:
    outputs = {role: Artifact(*fields) for role, fields in data.items()}
    for artifact in outputs.values():
        if not _DIGEST.fullmatch(artifact.digest):  # it becomes a path
            raise ValueError(f"not a digest: {artifact.digest!r}")
    return outputs
