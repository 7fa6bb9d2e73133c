"""A store on this machine's disk in front of one that several machines share (`--store s3://bucket/prefix`).

The folder here, `.pipeline/remote/<digest of the URL>/`, is a whole store. A key is looked up in it first; what is not
here is asked for there, and stays here once it was read. What is computed here is committed here, and then sent.

- **Sent**: objects first, the record last, so that whoever finds a record finds its objects. A record that could not be
  sent stays in `outbox/`, and whoever opens the store next sends it.
- **Single flight** is a matter of kernel locks, and they reach as far as this machine. Two machines that want the same
  key at the same time both compute it and get the same bytes; the second one to finish changes nothing. The samples of
  one measuring node are put together; should two machines send theirs at the same instant, the later record counts,
  and the other samples stay in the store of the machine that took them.
- **Lost or damaged there** counts as missing, and is computed or sent again. A damaged object is set aside there and
  here, in `quarantine/`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import Preimage, digest_bytes
from pipeline.store.local import LocalStore
from pipeline.store.objects import CorruptObject, write_atomically
from pipeline.store.record import Artifact, Record
from pipeline.store.remote import Remote

__all__ = ["SharedStore", "cache_folder"]

_THERE = "there"  # facts: object -> its size there
_CONDEMNED = -1  # in place of the size: it is damaged, and could not be moved aside


def cache_folder(url: str, root: Path) -> Path:
    """Return the folder of the store that stands in front of a URL; `root` is where a store without one would be."""
    return root / "remote" / digest_bytes(url.rstrip("/").encode())[:16]


class SharedStore(LocalStore):
    """A store in a folder that shares its results under a URL.

    What asks the other side raises EnvironmentProblem when it cannot be reached; what is all here asks nothing.
    """

    def __init__(self, root: Path, remote: Remote) -> None:
        super().__init__(root)
        self.remote = remote
        self._outbox = root / "outbox"

    def __reduce__(self) -> tuple[type[SharedStore], tuple[Path, Remote]]:
        """Open the same two sides in the process that it is sent to."""
        return SharedStore, (self.root.absolute(), self.remote)

    def get(self, key: str) -> Record | None:
        """Return the record under this key when each of its artifacts is here or there, else None."""
        record = self.peek(key)
        return record if record and not self.missing(record) else None

    def peek(self, key: str, preimage: Preimage | None = None) -> Record | None:
        """Return the record under this key, from here or there, whether or not its artifacts still exist."""
        record = super().peek(key, preimage)
        if record is None and (record := self.remote.find(key)):
            super().commit(record)
            self._believe(record)
        return record

    def missing(self, record: Record) -> tuple[str, ...]:
        """Return the roles whose artifacts are neither here nor there."""
        return tuple(role for role in super().missing(record) if not self._is_there(record.outputs[role]))

    def has_family(self, family: str) -> bool:
        """Return True: which results others have, under keys that are not known yet, cannot be told."""
        return True

    def read(self, digest: str) -> bytes:
        """Return an object's bytes, brought here if need be; raises CorruptObject if it is lost here and there."""
        try:
            return super().read(digest)
        except CorruptObject:
            data = self._fetch(digest)
        self.write(data)
        return data

    def commit(self, record: Record) -> None:
        """Commit here, then send; raises EnvironmentProblem if only the first was possible: the rest is sent later."""
        with self.locked(_sending(record.key)):
            with self.writing():
                write_atomically(self._outbox / record.key, b"", tmp=self.root / "tmp")
            super().commit(record)
            self._send(record)

    def send_rest(self, warn: Callable[[str], None]) -> None:
        """Send what an earlier run could not; `warn` if that fails again."""
        keys = os.listdir(self._outbox) if self._outbox.exists() else []
        for key in keys:
            try:
                with self.locked(_sending(key)):
                    if (self._outbox / key).exists():  # else a living process has just sent it
                        self._send_again(key)
            except EnvironmentProblem as error:
                warn(f"{len(keys)} results of this machine are not in the shared store yet: {error}")
                return

    def _believe(self, record: Record) -> None:
        """Take what a record names that was found there as there, too: it was sent before.

        To ask for every object would be several requests for each node; one that was lost since is missed when it is
        read.
        """
        artifacts = record.outputs.values()
        self.remember(_THERE, {a.digest: a.size for a in artifacts if self.recall(_THERE, a.digest) is None})

    def _is_there(self, artifact: Artifact) -> bool:
        known = self.recall(_THERE, artifact.digest)
        if known is None and self.remote.has(artifact.digest, artifact.size):
            self.remember(_THERE, {artifact.digest: artifact.size})
            return True
        return bool(known == artifact.size)

    def _fetch(self, digest: str) -> bytes:
        """Read an object there; a second time before it is called damaged: a broken connection looks the same."""
        size = self.recall(_THERE, digest)
        data = self.remote.fetch(digest, size)
        if data is not None and digest_bytes(data) != digest:
            data = self.remote.fetch(digest, size)
        if data is None:
            self.remember(_THERE, {digest: None})
            raise CorruptObject(digest, "it is missing, here and in the shared store")
        if digest_bytes(data) == digest:
            return data
        with contextlib.suppress(OSError):  # the store here cannot be written
            write_atomically(self.root / "quarantine" / f"{digest}.{os.urandom(4).hex()}", data, durable=False)
        moved = self.remote.quarantine(digest)
        self.remember(_THERE, {digest: None if moved else _CONDEMNED})
        done = "it was moved to quarantine" if moved else "it could not be moved aside"
        raise CorruptObject(digest, f"its content in {self.remote.name} does not match its name; {done}")

    def _send_again(self, key: str) -> None:
        record = super().peek(key)
        if record and not super().missing(record):
            self._send(record)
        else:  # the process died before it had a result, or the result was deleted since
            (self._outbox / key).unlink(missing_ok=True)

    def _send(self, record: Record) -> None:
        """Send a record after what it names, and strike it off the outbox."""
        for artifact in record.outputs.values():
            self._send_object(artifact)
        for outputs in record.earlier:
            for artifact in outputs.values():
                with contextlib.suppress(CorruptObject):  # samples that were lost before
                    self._send_object(artifact)
        theirs = self.remote.find(record.key)
        whole = _together(record, theirs) if theirs else record
        if whole != record:
            super().commit(whole)
        if theirs is None or (whole.outputs, whole.earlier) != (theirs.outputs, theirs.earlier):
            self.remote.put_record(whole)
        with self.writing():
            (self._outbox / record.key).unlink(missing_ok=True)

    def _send_object(self, artifact: Artifact) -> None:
        if not self._is_there(artifact):
            self.remote.put(artifact.digest, super().read(artifact.digest))
            self.remember(_THERE, {artifact.digest: artifact.size})


def _sending(key: str) -> str:
    """Return the name of the lock that is held from the commit here until the record is there."""
    return f"send {key}"


def _together(ours: Record, theirs: Record) -> Record:
    """Return our record with the sessions that only theirs has before ours."""
    sessions: list[Mapping[str, Artifact]] = []
    for outputs in (*theirs.earlier, theirs.outputs, *ours.earlier):
        if outputs != ours.outputs and outputs not in sessions:
            sessions.append(outputs)
    return ours._replace(earlier=tuple(sessions))
