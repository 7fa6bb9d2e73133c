"""A store with small results in it, made without running anything."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.core.keys import Preimage, action_key
from pipeline.store.local import LocalStore
from pipeline.store.record import Record

DAY_S = 86_400.0


def make(
    root: Path,
    name: str,
    outputs: Mapping[str, bytes],
    inputs: Mapping[str, str] | None = None,
    *,
    days_ago: float = 0.0,
    seconds: float = 1.0,
) -> Record:
    """Commit a result of stage `name` as if it had been made some days ago, and return its record."""
    store = LocalStore(root)
    preimage = Preimage(name, 1, {}, "code", dict(inputs or {}), {})
    artifacts = {role: store.put(data, "text") for role, data in outputs.items()}
    record = Record(action_key(preimage), name, preimage, artifacts, time.time() - days_ago * DAY_S, seconds)
    store.commit(record)
    for artifact in artifacts.values():
        age(store.object_path(artifact.digest), days_ago)
    store.close()
    return record


def age(path: Path, days: float) -> None:
    """Let a file look as if it had been written some days ago."""
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))


def write_run(folder: Path, *records: Record, days_ago: float = 0.0) -> None:
    """Write what a run of these results leaves in its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    nodes = [{"key": r.key, "outputs": {role: a.digest for role, a in r.outputs.items()}} for r in records]
    (folder / "run.json").write_text(json.dumps({"nodes": nodes}))
    age(folder / "run.json", days_ago)


def names(root: Path) -> set[str]:
    """Return the stages of the results that a newly opened store still has, whole."""
    store = LocalStore(root)
    keys = [path.parent.name + path.stem for path in (root / "actions").glob("*/*.json")]
    found = {record.label for key in keys if (record := store.get(key))}
    store.close()
    return found


def digest_of(record: Record, role: str = "out") -> str:
    """Return the digest of an output."""
    return record.outputs[role].digest
