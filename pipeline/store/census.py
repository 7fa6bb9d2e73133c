"""Everything that lies in a store, counted: results, their objects, who still names them, when they were last used.

Read from the files alone, so that it also counts what the index has lost. Leaves out what to do about it (`gc`).
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import glob
import json
import math
import mmap
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import EnvironmentProblem
from pipeline.store.objects import stored_files
from pipeline.store.record import Record
from pipeline.store.uses import lines_of

__all__ = ["Census", "Result", "RunFolder", "StoredFile", "noted_days", "noted_folders", "take_census"]

_DAY_S = 86_400.0
_NAMING = ("run.json", "submission.json")  # the files of a run folder that name keys and digests
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of the store: path, size and time of the last change (seconds since the epoch)."""

    path: str
    size_bytes: int
    changed_at: float


@dataclass(frozen=True, slots=True)
class Result:
    """What a record says about one result; `outputs` are digests, those of earlier sessions among them.

    `used_at` is when it was made or last found (to the day, as its end; infinite where it is still to be sent to a
    shared store), `is_named` whether a run folder names it, `seconds` what it would take to make it again.
    """

    key: str
    stage: str
    outputs: frozenset[str]
    inputs: frozenset[str]
    used_at: float
    seconds: float
    is_named: bool
    record: StoredFile


@dataclass(frozen=True, slots=True)
class RunFolder:
    """A folder that runs wrote to; `written_at` (seconds since the epoch) is None where no run is left."""

    path: Path
    written_at: float | None
    names: frozenset[str]


@dataclass(frozen=True)
class Census:
    """The content of a store at one time.

    `named` are the digests that run folders name, `spared` those in records that cannot be read: too many rather than
    too few. `rest` are files that hold no result, by kind.
    """

    taken_at: float
    results: Mapping[str, Result]
    objects: Mapping[str, StoredFile]
    named: frozenset[str]
    spared: frozenset[str]
    folders: tuple[RunFolder, ...]
    unreadable: tuple[str, ...]
    rest: Mapping[str, tuple[StoredFile, ...]]

    @property
    def size_bytes(self) -> int:
        """Return what results take: objects and records."""
        files = [*self.objects.values(), *(result.record for result in self.results.values())]
        return sum(file.size_bytes for file in files)


def take_census(root: Path, parents: tuple[Path, ...]) -> Census:
    """Count a store; the run folders are those in `parents`, and those that the store has notes of.

    Raises EnvironmentProblem if a file of a run folder cannot be read: what it needs would not be known.
    """
    taken_at = time.time()
    folders = _folders(root, parents)
    used_at = _last_uses(root, folders)
    named = frozenset[str]().union(*(folder.names for folder in folders))
    results, unreadable, spared = {}, [], set[str]()
    for key, entry in stored_files(root / "actions", ".json"):
        if (file := _stored(entry)) is None:
            continue
        try:
            results[key] = _result(key, file, used_at.get(key, 0.0), key in named)
        except (KeyError, OSError, RecursionError, TypeError, ValueError):
            unreadable.append(
                key
            )  # damaged, or of a newer version of this program: what it names is not ours to remove
            spared |= _digests_in(Path(file.path))
    objects = {digest: file for digest, entry in stored_files(root / "objects") if (file := _stored(entry))}
    rest = {kind: tuple(_files(root, pattern)) for kind, pattern in _REST.items()}
    return Census(taken_at, results, objects, named, frozenset(spared), folders, tuple(unreadable), rest)


def noted_folders(root: Path) -> set[Path]:
    """Return the run folders that a store has notes of, there or not."""
    found = set()
    for note in _there(root, "uses/*/folder"):
        with contextlib.suppress(OSError):
            found.add(Path(os.path.normpath(root.resolve() / os.fsdecode(note.read_bytes()))))
    return found


def noted_days(root: Path) -> Iterator[tuple[float, set[str]]]:
    """Yield when each noted day ended (seconds since the epoch), and the keys that were used on it."""
    for note in _there(root, "uses/*/*-*-*"):
        with contextlib.suppress(ValueError):  # 2026-99-99
            day = datetime.datetime.strptime(note.name, "%Y-%m-%d").replace(tzinfo=datetime.UTC)
            yield day.timestamp() + _DAY_S - 1, lines_of(note)


_REST = {
    "interrupted writes": "tmp/.writing-*",
    "unfinished computations": "unfinished/*/*",
    "locks": "locks/*.lock",
    "quarantine": "quarantine/*",
    "notes of days": "uses/*/*-*-*",
    "journals of searches": "search/*.journal",
}


def _folders(root: Path, parents: tuple[Path, ...]) -> tuple[RunFolder, ...]:
    found = {path.parent.resolve() for parent in parents for path in _there(parent, "*/run.json")}
    found |= noted_folders(root)
    return tuple(RunFolder(path, _changed_at(path / "run.json"), _names(path)) for path in sorted(found))


def _last_uses(root: Path, folders: tuple[RunFolder, ...]) -> dict[str, float]:
    used_at: dict[str, float] = {}
    for folder in folders:
        for name in folder.names:
            used_at[name] = max(used_at.get(name, 0.0), folder.written_at or 0.0)
    used_at |= dict.fromkeys(_listed(root / "outbox"), math.inf)
    for ended_at, keys in noted_days(root):
        for key in keys:
            used_at[key] = max(used_at.get(key, 0.0), ended_at)
    return used_at


def _result(key: str, file: StoredFile, used_at: float, is_named: bool) -> Result:
    record = Record.from_json(json.loads(Path(file.path).read_bytes()))
    outputs = {artifact.digest for session in (record.outputs, *record.earlier) for artifact in session.values()}
    inputs = frozenset(map(str, record.preimage.inputs.values()))
    last = max(used_at, float(record.finished_at))
    stage, seconds = str(record.preimage.stage), float(record.seconds)
    return Result(key, stage, frozenset(outputs), inputs, last, seconds, is_named, file)


def _names(folder: Path) -> frozenset[str]:
    names: set[str] = set()
    for path in (folder / name for name in _NAMING):
        try:
            names |= _digests_in(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise EnvironmentProblem(
                f"{path} cannot be read, so what it needs is not known: {error.strerror or error}",
                hint="nothing was removed; repair or remove that file",
            ) from error
    return frozenset(names)


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _digests_in(path: Path) -> set[str]:
    """Return every digest that a file names, whatever it is the digest of."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "it is not a regular file")
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return set()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return {match[0].decode() for match in _DIGEST.finditer(data)}


def _there(root: Path, pattern: str) -> list[Path]:
    """Return what matches a pattern, in order; `pathlib` would raise where a folder is removed meanwhile."""
    return [root / name for name in sorted(glob.glob(pattern, root_dir=root, include_hidden=True))]


def _files(root: Path, pattern: str) -> Iterator[StoredFile]:
    for path in _there(root, pattern):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                status = path.stat()
                yield StoredFile(str(path), status.st_size, status.st_mtime)


def _stored(entry: os.DirEntry[str]) -> StoredFile | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # another process has just removed it
        return None
    return StoredFile(entry.path, status.st_size, status.st_mtime)


def _changed_at(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
