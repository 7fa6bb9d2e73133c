"""The store on this machine's disk: objects by content, records by action key, an index, locks that die with a process.

Layout of the folder (default `.pipeline/` in the working directory):

    objects/ab/cdef…      content, named by its SHA-256, read-only
    actions/ab/cdef….json the record of an executed node, named by its action key
    index.sqlite3         the same records for quick look-up, rebuilt from them when lost; remembered facts
    uses/…                which run folders need what, and what was used on which day (`pipeline.store.uses`)
    locks/<key>.lock      locked while this key is computed; `in-use` is shared by all who have the store open
    tmp/                  files that are being written; they are renamed to where they belong
    quarantine/           damaged files, by digest; they count as missing and are computed again
    CACHEDIR.TAG  .gitignore

Of these only `objects/` and `actions/` are results, and both check themselves: an object by its name, a record by the
key it is named after. The whole folder may be deleted at any time, beside a running command, too.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.core.errors import StoreUnwritable
from pipeline.core.keys import Preimage
from pipeline.store.in_use import InUse
from pipeline.store.index import Index
from pipeline.store.objects import Objects, write_atomically
from pipeline.store.record import Artifact, Record

__all__ = ["LocalStore"]

_CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n# This folder can be deleted; its content is computed again.\n"
)


class LocalStore:
    """A store in a folder, made on first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
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
        """Write the record's JSON file durably, then index it; raises StoreUnwritable when that is impossible."""
        path = self.root / "actions" / record.key[:2] / f"{record.key[2:]}.json"
        data = json.dumps(record.to_json(), sort_keys=True).encode()
        with self.writing():
            write_atomically(path, data, tmp=self.root / "tmp")
            if self._prepare():  # somebody has deleted the folder meanwhile
                self._index.close()
                self._in_use, self._index = InUse(self.root), Index(self.root)
        self._index.put(record)

    def read(self, digest: str) -> bytes:
        """Return an object's bytes after checking them against the digest; raises CorruptObject."""
        return self._objects.read(digest)

    def write(self, data: bytes) -> str:
        """Store bytes durably; return their digest. Raises StoreUnwritable when that is impossible."""
        with self.writing():
            return self._objects.write(data)

    def put(self, artifact_bytes: bytes, codec: str) -> Artifact:
        """Store an encoded output."""
        return Artifact(self.write(artifact_bytes), codec, len(artifact_bytes))

    def object_path(self, digest: str) -> Path:
        """Return where an object lies."""
        return self._objects.path(digest)

    def quarantined(self) -> frozenset[str]:
        """Return the names of all that was set aside because it was damaged: a digest, and more where it repeats."""
        try:
            return frozenset(os.listdir(self.root / "quarantine"))
        except OSError:
            return frozenset()

    def lock_path(self, key: str) -> Path:
        """Return the file that is locked while this key is computed."""
        return self.root / "locks" / f"{key}.lock"

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
        if (self.root / "CACHEDIR.TAG").exists():
            return False
        for folder in ("objects", "actions", "locks", "tmp"):
            os.makedirs(self.root / folder, exist_ok=True)
        write_atomically(self.root / ".gitignore", b"*\n")
        write_atomically(self.root / "CACHEDIR.TAG", _CACHEDIR_TAG)
        return True
