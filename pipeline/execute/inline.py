"""The inline executor: runs a node in this process, one after the other.

Imported when the first node has to run, because it needs numpy.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Mapping
from typing import Any

import filelock
import threadpoolctl

from pipeline.core.keys import Preimage
from pipeline.core.plan import Node
from pipeline.core.stage import InputArtifact, Inputs, StageInfo
from pipeline.store.codecs import CODECS
from pipeline.store.local import LocalStore
from pipeline.store.record import Artifact, Record

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """Runs nodes here. BLAS uses one thread, so that a result does not depend on how many cores a machine has."""

    def __init__(self, store: LocalStore, stages: Mapping[str, StageInfo]) -> None:
        self._store = store
        self._stages = stages

    def run(self, node: Node, key: str, preimage: Preimage, inputs: Mapping[str, Artifact], again: bool) -> Record:
        """Compute a node and commit its record; a second process that wants the same key waits, then takes the result.

        `again` computes it even if the key is there (a fresh measurement): the former outputs move to `earlier`.
        Whatever the stage raises passes through; nothing is committed then.
        """
        with filelock.FileLock(self._store.lock_path(key)):
            known = self._store.get(key)
            if known and not again:
                return known
            with threadpoolctl.threadpool_limits(1):
                started = time.perf_counter()
                values = self._execute(node, inputs)
                seconds = time.perf_counter() - started
            outputs = self._encode(node, values)
            earlier = (*known.earlier, known.outputs) if known else ()
            record = Record(key, node.label, preimage, outputs, time.time(), seconds, earlier)
            self._store.commit(record)
            return record

    def _execute(self, node: Node, inputs: Mapping[str, Artifact]) -> dict[str, Any]:
        stage = importlib.import_module(self._stages[node.stage].module)
        loaded = Inputs({role: self._input(artifact) for role, artifact in inputs.items()})
        values: dict[str, Any] = stage.execute({**node.spec, **node.local}, loaded)
        return values

    def _input(self, artifact: Artifact) -> InputArtifact:
        return InputArtifact(artifact.digest, artifact.size, functools.partial(self._decode, artifact))

    def _decode(self, artifact: Artifact) -> Any:
        return CODECS[artifact.codec].decode(self._store.read(artifact.digest))

    def _encode(self, node: Node, values: Mapping[str, Any]) -> dict[str, Artifact]:
        declared = self._stages[node.stage].outputs
        if values.keys() != declared.keys():
            raise TypeError(f"stage {node.stage} declares the outputs {sorted(declared)} and gave {sorted(values)}")
        return {role: self._store.put(CODECS[codec].encode(values[role]), codec) for role, codec in declared.items()}
