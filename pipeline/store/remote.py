"""The far side of a shared store: objects and records under any URL that fsspec knows (extra `remote`).

Layout under the URL, the same as in the folder of a store on disk, so that either can be copied to the other:

    objects/ab/cdef…      actions/ab/cdef….json      quarantine/abcdef…

What is assumed of the other side: a write is there whole or not at all, and who reads afterwards finds it (S3, Google
and Azure promise both). Where that does not hold (a server's files over SFTP or FTP, a writer that is killed), a part
of an object is found out by its size and digest and a part of a record by its key: both count as absent or damaged,
never as a result. Files of `file://` are renamed into place. Nothing is ever locked there and nothing is removed.

What is read is data of others: a record is bounded and checked against its key here, an object against its digest by
whoever asked for it (`pipeline.store.shared`).
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import action_key
from pipeline.store.objects import write_atomically
from pipeline.store.record import Record

__all__ = ["Remote"]

_MOST_RECORD_BYTES = 64 * 2**20  # a submission of 1,000 points names some 15,000 artifacts in 3 MiB
# Object stores need no folders, and would take the wish for one as that for a bucket: a misspelt one must not be made.
_WITHOUT_FOLDERS = frozenset({"abfs", "abfss", "adl", "az", "gcs", "gs", "oci", "ocis", "oss", "s3", "s3a"})
_USER = re.compile(r"//[^/@\s]*@")


class Remote:
    """What lies under a URL. It is connected to at the first use, and again in a process that it is sent to.

    Options and credentials come from where the file system looks for them: its environment variables
    (AWS_ACCESS_KEY_ID…), fsspec's configuration files, or the URL. Every method raises EnvironmentProblem when the
    other side cannot be reached, does not permit it, or its package is not installed.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.name = _USER.sub("//", self.url)  # what is shown: without user and password

    def __reduce__(self) -> tuple[type[Remote], tuple[str]]:
        """Send the URL only."""
        return Remote, (self.url,)

    def find(self, key: str) -> Record | None:
        """Return the record under this key; one that is damaged or that another version wrote counts for nothing."""
        with self._reaching("read"):
            try:
                data = self._fs.cat_file(self._record_path(key), end=_MOST_RECORD_BYTES + 1)
            except FileNotFoundError:
                return None
            except OSError:
                if self._fs.info(self._record_path(key))["size"] > 0:
                    raise
                return None  # an empty object of S3 has no first bytes
        return _checked(data, key)

    def has(self, digest: str, size: int) -> bool:
        """Tell whether the object is there with this size."""
        with self._reaching("read"):
            try:
                return bool(self._fs.info(self._object_path(digest))["size"] == size)
            except FileNotFoundError:
                return False

    def fetch(self, digest: str, size: int | None = None) -> bytes | None:
        """Return the bytes that lie under an object's name, None if there are none; the caller checks the digest.

        Of an object that should have `size` bytes, one more is read at most.
        """
        with self._reaching("read"):
            try:
                data: bytes = self._fs.cat_file(self._object_path(digest), end=size + 1 if size and size > 0 else None)
            except FileNotFoundError:
                return None
            except OSError:
                if self._fs.info(self._object_path(digest))["size"] > 0:
                    raise
                return b""  # an empty object of S3 has no first bytes
        return data

    def quarantine(self, digest: str) -> bool:
        """Move a damaged object aside; tell whether that was possible (the other side may not permit it)."""
        try:
            with self._reaching("written"):
                target = f"{self._root}/quarantine/{digest}"
                self._make_folder(target)
                self._fs.mv(self._object_path(digest), target)
        except EnvironmentProblem:
            return False
        return True

    def put(self, digest: str, data: bytes) -> None:
        """Write an object; what lies there under its name is replaced."""
        self._write(self._object_path(digest), data, 0o444)

    def put_record(self, record: Record) -> None:
        """Write a record; what lies there under its key is replaced. Its objects are written before."""
        data = json.dumps(record.to_json(), sort_keys=True).encode()
        self._write(self._record_path(record.key), data, 0o644)

    @cached_property
    def _connection(self) -> tuple[Any, str]:
        """Return fsspec's file system and the path in it; a missing package is the user's to install."""
        try:
            import fsspec
        except ImportError:
            hint = 'pip install "tinytorch-pipeline[remote]"'
            raise EnvironmentProblem(
                f"a store at {self.name} needs fsspec, which is not installed", hint=hint
            ) from None
        try:
            fs, path = fsspec.core.url_to_fs(self.url)
        except (ImportError, ValueError) as error:  # "Install s3fs to access S3", "Protocol not known: s4"
            raise EnvironmentProblem(
                f"the store {self.name} cannot be opened: {error}", hint="name a protocol that fsspec knows"
            ) from error
        return fs, str(path).rstrip("/")

    @property
    def _fs(self) -> Any:
        return self._connection[0]

    @property
    def _root(self) -> str:
        return self._connection[1]

    def _object_path(self, digest: str) -> str:
        return f"{self._root}/objects/{digest[:2]}/{digest[2:]}"

    def _record_path(self, key: str) -> str:
        return f"{self._root}/actions/{key[:2]}/{key[2:]}.json"

    def _write(self, path: str, data: bytes, mode: int) -> None:
        with self._reaching("written"):
            if "file" in self._protocols:  # fsspec would write in place
                write_atomically(Path(path), data, tmp=Path(self._root, "tmp"), mode=mode)
                return
            if not self._protocols & _WITHOUT_FOLDERS:
                with contextlib.suppress(Exception):  # a folder is missing, which each file system says in its own way
                    self._fs.pipe_file(path, data)
                    return
                self._make_folder(path)
            self._fs.pipe_file(path, data)

    def _make_folder(self, path: str) -> None:
        if not self._protocols & _WITHOUT_FOLDERS:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)

    @property
    def _protocols(self) -> frozenset[str]:
        protocol = self._fs.protocol
        return frozenset([protocol] if isinstance(protocol, str) else protocol)

    @contextlib.contextmanager
    def _reaching(self, done: str) -> Iterator[None]:
        """Turn what a file system objects to into an EnvironmentProblem."""
        try:
            yield
        except EnvironmentProblem:
            raise
        except Exception as error:  # each file system has its own: OSError, botocore's, aiohttp's, ftplib's
            reason = _USER.sub("//", os.fsdecode(str(error))) or type(error).__name__
            raise EnvironmentProblem(
                f"the store {self.name} cannot be {done}: {reason}",
                hint="everything finished is kept on this machine; check the network, the URL and the credentials",
            ) from error


def _checked(data: bytes, key: str) -> Record | None:
    """Return the record that these bytes are, if it is the one with this key."""
    if len(data) > _MOST_RECORD_BYTES:
        return None
    try:
        record = Record.from_json(json.loads(data))
        is_sound = record.key == key == action_key(record.preimage) and _is_well_typed(record)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return record if is_sound else None


def _is_well_typed(record: Record) -> bool:
    numbers, texts = (record.finished_at, record.seconds), [record.label]
    sizes = []
    for outputs in (record.outputs, *record.earlier):
        sizes += [artifact.size for artifact in outputs.values()]
        texts += [artifact.codec for artifact in outputs.values()]
    return (
        all(type(number) in (int, float) and math.isfinite(number) for number in numbers)
        and all(type(size) is int and size >= 0 for size in sizes)
        and all(type(text) is str for text in texts)
    )
