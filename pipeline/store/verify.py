"""Read a whole store again and compare it with what its names promise; what is damaged is set aside.

What was set aside counts as missing: the next run that needs it computes it again.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.core.keys import action_key
from pipeline.store.index import Index
from pipeline.store.objects import Objects, set_aside, stored_files
from pipeline.store.record import Record

__all__ = ["Findings", "verify_store"]


@dataclass
class Findings:
    """What a check of a store came to.

    `objects` maps the digests of sound objects to their sizes in bytes, `records` counts the readable ones. `damaged`
    names objects and records (digests and keys) whose content is not what their name says, `stuck` those of them that
    could not be moved to quarantine. Of `incomplete` results (keys) an object is missing or has another size: they are
    computed again. `foreign` records (keys) are no results of this version of the program, whoever wrote them.
    """

    objects: dict[str, int] = field(default_factory=dict)
    records: int = 0
    damaged: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)


def verify_store(root: Path) -> Findings:
    """Hash every object and check every record against its key; raises OSError where something cannot be read."""
    found = Findings()
    _verify_objects(root, found)
    _verify_records(root, found)
    index = Index(root)
    index.forget(key for key in found.damaged if key not in found.stuck)
    index.close()
    return found


def _verify_objects(root: Path, found: Findings) -> None:
    objects = Objects(root)
    for digest, entry in stored_files(root / "objects"):
        try:
            is_sound, size = objects.is_sound(digest), entry.stat().st_size
        except FileNotFoundError:  # it was removed meanwhile
            continue
        if is_sound:
            found.objects[digest] = size
        else:
            _quarantine(root, digest, entry.path, found)


def _verify_records(root: Path, found: Findings) -> None:
    for key, entry in stored_files(root / "actions", ".json"):
        try:
            data = json.loads(Path(entry.path).read_bytes())
        except FileNotFoundError:
            continue
        except (RecursionError, ValueError):  # JSON that is cut short, or no text at all
            _quarantine(root, key, entry.path, found)
            continue
        if (record := _own(data, key)) is None:
            found.foreign.append(key)
            continue
        found.records += 1
        if not all(found.objects.get(artifact.digest) == artifact.size for artifact in record.outputs.values()):
            found.incomplete.append(key)


def _own(data: object, key: str) -> Record | None:
    """Return the record if it is one of this version, made of what its key says."""
    try:
        record = Record.from_json(data)  # type: ignore[arg-type]  # whatever it is: this is the check
        return record if action_key(record.preimage) == record.key == key else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _quarantine(root: Path, name: str, path: str, found: Findings) -> None:
    found.damaged.append(name)
    if not set_aside(root, Path(path), os.path.basename(os.path.dirname(path)) + os.path.basename(path)):
        found.stuck.append(name)
