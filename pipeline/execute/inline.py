"""The inline executor: runs a node in this process, one after the other.

Imported when the first node has to run, because it needs numpy.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import filelock
import threadpoolctl

from pipeline.core.event import Outcome
from pipeline.core.keys import Preimage
from pipeline.core.plan import Node
from pipeline.core.stage import InputArtifact, Inputs
from pipeline.execute.decide import Oracle
from pipeline.store.codecs import CODECS
from pipeline.store.record import Artifact, Record

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """Runs nodes here. BLAS uses one thread, so that a result does not depend on how many cores a machine has.

    Code is imported, and then compared with what the key says, before the work begins: what is edited later concerns
    the next run.
    """

    def __init__(self, oracle: Oracle) -> None:
        self._oracle = oracle
        self._store = oracle.store
        self._stages = oracle.stages

    def run(
        self,
        node: Node,
        key: str,
        preimage: Preimage,
        inputs: Mapping[str, Artifact],
        again: bool,
        say: Callable[[str], None],
    ) -> tuple[Record, Outcome]:
        """Compute a node and commit its record; a second process that wants the same key waits, then takes the result.

        `again` computes it even if the key is there (a fresh measurement): the former outputs move to `earlier`. The
        stage tells `say` what a person who waits should know.
        Whatever the stage raises passes through; nothing is committed then.
        """
        stage = self._import(node)
        with self._locked(key):
            known = self._store.get(key)
            if known and not again:
                return known, Outcome.CACHED
            with threadpoolctl.threadpool_limits(1):
                started = time.perf_counter()
                values = stage.execute({**node.spec, **node.local}, self._load(inputs, say))
                seconds = time.perf_counter() - started
            outputs = self._encode(node, values)
            self._oracle.confirm(node)
            former = self._store.peek(key)
            earlier = (*former.earlier, former.outputs) if former and self._stages[node.stage].measures else ()
            record = Record(key, node.label, preimage, outputs, time.time(), seconds, earlier)
            self._store.commit(record)
            return record, Outcome.RAN

    def _import(self, node: Node) -> ModuleType:
        for module in node.code_roots:
            importlib.import_module(module)
        self._oracle.environment.code.note_imported()
        return importlib.import_module(self._stages[node.stage].module)

    @contextlib.contextmanager
    def _locked(self, key: str) -> Iterator[None]:
        lock = filelock.FileLock(self._store.lock_path(key))
        with self._store.writing():
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _load(self, inputs: Mapping[str, Artifact], say: Callable[[str], None]) -> Inputs:
        return Inputs({role: self._input(artifact) for role, artifact in inputs.items()}, say)

    def _input(self, artifact: Artifact) -> InputArtifact:
        return InputArtifact(artifact.digest, artifact.size, functools.partial(self._decode, artifact))

    def _decode(self, artifact: Artifact) -> Any:
        return CODECS[artifact.codec].decode(self._store.read(artifact.digest))

    def _encode(self, node: Node, values: Mapping[str, Any]) -> dict[str, Artifact]:
        if values.keys() != node.outputs.keys():
            raise TypeError(f"{node.label} declares the outputs {sorted(node.outputs)} and gave {sorted(values)}")
        return {
            role: self._store.put(CODECS[codec].encode(values[role]), codec) for role, codec in node.outputs.items()
        }
