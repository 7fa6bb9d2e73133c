"""The store on this machine's disk: objects by content, records by action key, an index, locks that die with a process.

Layout of the folder (default `.pipeline/` in the working directory):

    objects/ab/cdef…      content, named by its SHA-256, read-only
    actions/ab/cdef….json the record of an executed node, named by its action key
    index.sqlite3         the same records for quick look-up, rebuilt from them when lost; remembered facts
    uses/…                which run folders need what, and what was used on which day (`pipeline.store.uses`)
    locks/keys            a byte of it is locked while a key is computed (`pipeline.store.locks`)
    locks/in-use          shared by all who have the store open
    tmp/                  files that are being written; they are renamed to where they belong
    unfinished/<key>/     how far a computation came, so that it continues there after it was killed
    quarantine/           damaged files, by digest; they count as missing and are computed again
    search/*.journal      what searches asked for and were told, for optuna's tools; a copy of what the results say
    remote/<id>/          a store like this one in front of each URL (`pipeline.store.shared`), with an outbox/
    CACHEDIR.TAG  .gitignore

Of these only `objects/` and `actions/` are results, and both check themselves: an object by its name, a record by the
key it is named after. The whole folder may be deleted at any time, beside a running command, too.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import StoreUnwritable
from pipeline.core.keys import Preimage
from pipeline.store.in_use import InUse
from pipeline.store.index import Index
from pipeline.store.locks import locked
from pipeline.store.objects import Objects, make_folder, write_atomically
from pipeline.store.record import Artifact, Record
from pipeline.store.unfinished import Unfinished

__all__ = ["LocalStore"]

# What tells backups and git to leave the folder alone.
_MARKS = {
    ".gitignore": b"*\n",
    "CACHEDIR.TAG": (
        b"Signature: 8a477f597d28d172789f06886806bc55\n# This folder can be deleted; its content is computed again.\n"
    ),
}


# To flush a file takes a millisecond on a good disk and twenty on a slow one, and each node writes two or more. A power
# cut loses what was written in the last seconds; of nodes this quick those are seconds to compute, too.
_WORTH_FLUSHING_S = 0.1


class LocalStore:
    """A store in a folder, made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.locks = root / "locks"  # the folder of files to lock
        self.unfinished = Unfinished(root / "unfinished")
        self._tmp = root / "tmp"
        if not (root / "CACHEDIR.TAG").exists():  # a copy that nobody can write may lack the other mark
            with self.writing():
                self._prepare()
        self._in_use = InUse(root)
        self._index = Index(root)
        self._objects = Objects(root)

    def __reduce__(self) -> tuple[type[LocalStore], tuple[Any, ...]]:
        """Open the same folder in the process that this is sent to."""
        return type(self), (self.root.absolute(),)

    def close(self) -> None:
        """Close the index, and let go of the store."""
        self._index.close()
        self._in_use.close()

    def get(self, key: str) -> Record | None:
        """Return the record under this key when each of its artifacts is there with its size, else None."""
        record = self._index.get(key)
        return record if record and not self.missing(record) else None

    def missing(self, record: Record) -> tuple[str, ...]:
        """Return the roles whose artifacts were deleted or cut short."""
        return tuple(
            r for r, artifact in record.outputs.items() if not self._objects.has(artifact.digest, artifact.size)
        )

    def peek(self, key: str, preimage: Preimage | None = None) -> Record | None:
        """Return the record under this key whether or not its artifacts are still there.

        Whoever has the pre-image that the key is made of gives it: then the record's file is not read.
        """
        return self._index.get(key, preimage)

    def commit(self, record: Record) -> None:
        """Write the record's JSON file, then index it; raises StoreUnwritable when that is impossible.

        It outlives a killed process always, and a power cut if what it tells of took longer than flushing it does.
        """
        path = os.path.join(self.root, "actions", record.key[:2], f"{record.key[2:]}.json")
        data = json.dumps(record.to_json(), sort_keys=True).encode()
        with self.writing():
            write_atomically(path, data, tmp=self._tmp, durable=_is_worth_it(record.seconds))
            if self._prepare() or self._index.is_replaced:  # somebody has deleted the folder meanwhile
                self._index.close()
                self._in_use.close()
                self._in_use, self._index = InUse(self.root), Index(self.root)
        self._index.put(record)

    def read(self, digest: str) -> bytes:
        """Return an object's bytes after checking them against the digest; raises CorruptObject."""
        return self._objects.read(digest)

    def write(self, data: bytes, seconds: float = math.inf) -> str:
        """Store bytes that took some seconds to compute; return their digest.

        Raises StoreUnwritable when that is impossible. What was quick to compute may be lost in a power cut: it is
        checked when it is read, and computed again.
        """
        with self.writing():
            return self._objects.write(data, durable=_is_worth_it(seconds))

    def put(self, artifact_bytes: bytes, codec: str, seconds: float = math.inf) -> Artifact:
        """Store an encoded output that took some seconds to compute."""
        return Artifact(self.write(artifact_bytes, seconds), codec, len(artifact_bytes))

    def object_path(self, digest: str) -> Path:
        """Return where an object lies."""
        return self._objects.path(digest)

    def quarantined(self) -> frozenset[str]:
        """Return the names of all that was set aside because it was damaged: a digest, and more where it repeats."""
        try:
            return frozenset(os.listdir(self.root / "quarantine"))
        except OSError:
            return frozenset()

    @contextlib.contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Compute this key inside the block: nobody else on this machine does meanwhile; whoever wants to, waits."""
        with contextlib.ExitStack() as held:
            with self.writing():
                held.enter_context(locked(self.locks, key))
            yield

    def recent(self, topic: str, before: float) -> Iterator[Record]:
        """Yield the newest records of a topic (see `Preimage`) that were finished before a time, the newest first."""
        return self._index.recent(topic, before)

    def alike(self, preimage: Preimage, before: float) -> Iterator[Record]:
        """Yield the newest records of the same stage with the same parameters that were finished before a time."""
        return self._index.alike(preimage, before)

    def has_family(self, family: str) -> bool:
        """Tell whether there is a record that differs from a computation in its inputs' content at most."""
        return self._index.has_family(family)

    def remember(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Keep answers that are expensive to find again; every one can be lost without harm."""
        self._index.remember(kind, dict(facts))

    def recall(self, kind: str, name: str) -> Any:
        """Return a remembered answer, or None."""
        return self._index.recall(kind, name)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the operating system objects to (a full disk, a missing permission) into a StoreUnwritable."""
        try:
            yield
        except OSError as error:
            raise StoreUnwritable(
                f"the store {self.root} cannot be written: {error.strerror or error}",
                hint="make room (`pipeline store gc`), or choose another folder with --store; what is finished is kept",
            ) from error

    def _prepare(self) -> bool:
        """Make the folder; return whether it was not there, or not wholly."""
        if all(os.path.exists(os.path.join(self.root, mark)) for mark in _MARKS):
            return False
        for folder in ("objects", "actions", "locks", "tmp"):
            make_folder(os.path.join(self.root, folder))
        for mark, content in _MARKS.items():
            write_atomically(self.root / mark, content)
        return True


def _is_worth_it(seconds: float) -> bool:
    """Tell whether a result that took this long is flushed to disk before it counts as there."""
    return seconds > _WORTH_FLUSHING_S
