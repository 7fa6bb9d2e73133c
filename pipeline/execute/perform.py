"""Computes one node: import its code, lock its key, look again, execute, encode, check, commit.

Whatever executes nodes calls this, in whichever process.
"""

from __future__ import annotations

import functools
import importlib
import sys
import time
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from pipeline.core.event import Outcome
from pipeline.core.plan import Node
from pipeline.core.stage import InputArtifact, Inputs
from pipeline.execute.alone import at_work
from pipeline.execute.decide import Oracle
from pipeline.execute.task import Task
from pipeline.execute.threads import one_blas_thread
from pipeline.store.codecs import codec_named
from pipeline.store.local import LocalStore
from pipeline.store.record import Artifact, Record

__all__ = ["perform"]


def _nothing() -> None:
    """Take no notice of when the work begins."""


def perform(
    task: Task, oracle: Oracle, say: Callable[[str], None], began: Callable[[], None] = _nothing, threads: int = 1
) -> tuple[Record, Outcome]:
    """Compute a node and commit its record; a second process that wants the same key waits, then takes the result.

    Code is imported, and then compared with what the key says, before the work begins: what is edited later concerns
    the next run. A node that measures waits until no other run of this store works on this machine, and they wait for
    it. BLAS uses one thread, so that a result does not depend on how many cores a machine has; what does not anyway may
    use `threads`. The stage tells `say` what a person who waits should know; `began` is called when waiting for others
    is over. When a measuring node is
    computed again, the former outputs move to `earlier`. Whatever the stage raises passes through; nothing is committed
    then.
    """
    node, store = task.node, oracle.store
    stage = _import(node, oracle)
    measures = oracle.stages[node.stage].measures
    with store.locked(task.key):
        former = store.peek(task.key, task.preimage)
        if former and not task.again and not store.missing(former):
            return former, Outcome.CACHED
        with at_work(store.locks, say, alone=measures):
            began()
            with one_blas_thread():
                started = time.perf_counter()
                values = stage.execute({**node.spec, **node.local}, _load(task, store, say, threads))
                seconds = time.perf_counter() - started
            outputs = _encode(store, node, values, seconds)
            oracle.confirm(node)
            earlier = (*former.earlier, former.outputs) if former and measures else ()
            record = Record(task.key, node.label, task.preimage, outputs, time.time(), seconds, earlier)
            store.commit(record)
            store.unfinished.forget(task.key)
        return record, Outcome.RAN


def _import(node: Node, oracle: Oracle) -> ModuleType:
    for module in (*node.code_roots, *node.writers):
        if module not in sys.modules:
            importlib.import_module(module)
    oracle.environment.code.note_imported()
    return importlib.import_module(oracle.stages[node.stage].module)


def _load(task: Task, store: LocalStore, say: Callable[[str], None], threads: int) -> Inputs:
    artifacts = {role: _input(store, artifact) for role, artifact in task.inputs.items()}
    return Inputs(artifacts, say, store.unfinished.folder(task.key), threads)


def _input(store: LocalStore, artifact: Artifact) -> InputArtifact:
    return InputArtifact(artifact.digest, artifact.size, functools.partial(_decode, store, artifact))


def _decode(store: LocalStore, artifact: Artifact) -> Any:
    return codec_named(artifact.codec).decode(store.read(artifact.digest))


def _encode(store: LocalStore, node: Node, values: Mapping[str, Any], seconds: float) -> dict[str, Artifact]:
    if values.keys() != node.outputs.keys():
        raise TypeError(f"{node.label} declares the outputs {sorted(node.outputs)} and gave {sorted(values)}")
    return {
        role: store.put(codec_named(codec).encode(values[role]), codec, seconds) for role, codec in node.outputs.items()
    }
