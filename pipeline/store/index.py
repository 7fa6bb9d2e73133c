"""The store's index: a SQLite file that answers "is this key there?" without touching a folder of records.

It only saves time. Every record lies in `actions/` as JSON, from which a key is answered that the index does not know
(a process was killed before it wrote the row) and from which a lost or damaged index is built again; `facts` are
remembered answers (a module's syntax-tree digest by its source, a data file's digest, that a file was valid). So an
index that cannot be written (a full disk, a read-only folder) stops nothing here: what has to be durable is the record.
A row that was damaged is no answer.

A row has the result of an action, not what its key is made of: whoever looks a key up knows that, and explanations,
which do not, read the record's file. Rows of quick nodes are written together, a few times a second.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
import time
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import Preimage, action_key, digest_bytes, digest_value, family_key
from pipeline.store.objects import stored_files
from pipeline.store.record import Record

__all__ = ["Index"]

_VERSION = 3
_SCHEMA = """
drop table if exists actions;
drop table if exists facts;
create table actions (
  key text primary key, topic text, likeness text, family text, finished_at real, result text, checksum text
) without rowid;
create index actions_by_topic on actions (topic, finished_at desc);
create index actions_by_likeness on actions (likeness);
create index actions_by_family on actions (family);
create table facts (kind text, name text, value text, checksum text, primary key (kind, name)) without rowid;
"""
# The queries are always the same, so one that SQLite does not understand meets tables that are not ours any more.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_PATIENCE_S = 30.0  # for other processes that write
_PAUSE_S = 0.2  # between two transactions with new rows: one by one they would take longer than quick nodes do
_MOST_PENDING = 1000
_SHORT = 16  # hex digits of a digest that only has to find candidates

Row = tuple[str, str, str, str, float, str, str]


class Index:
    """Open (and create or rebuild where needed) the index of the store at `root`.

    Raises EnvironmentProblem when a newer version of this program has made it.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "index.sqlite3"
        self._records = root / "actions"
        self._pending: dict[str, Row] = {}
        self._earliest = math.inf  # when the first of those that are pending was finished
        self._flushed_at = -_PAUSE_S
        self._db = self._open()
        self._inode = _inode(self._path)
        self._at_end = weakref.finalize(self, _write, self._db, self._pending)

    @property
    def is_replaced(self) -> bool:
        """Tell whether the file is another one by now: others do not see what is written here."""
        return _inode(self._path) != self._inode

    def close(self) -> None:
        """Write what is pending, and close the database."""
        self.flush()
        self._db.close()

    def flush(self) -> None:
        """Write the rows that were put since the last time, in one transaction."""
        _write(self._db, self._pending)
        self._earliest = math.inf
        self._flushed_at = time.monotonic()

    def get(self, key: str, preimage: Preimage | None = None) -> Record | None:
        """Return the record under this key. With the pre-image that the key is made of, no file has to be read."""
        if preimage is not None and (record := self._known(key, preimage)):
            return record
        record = self._from_file(key)
        if record is None or record.key != key or action_key(record.preimage) != key:
            return None
        if preimage is not None:
            self.put(record)
        return record

    def put(self, record: Record) -> None:
        """Add or replace a record; the row is written soon, and found at once."""
        self._pending[record.key] = _row(record)
        self._earliest = min(self._earliest, record.finished_at)
        if len(self._pending) >= _MOST_PENDING or time.monotonic() - self._flushed_at >= _PAUSE_S:
            self.flush()

    def forget(self, keys: Iterable[str]) -> None:
        """Remove records; their files have to be gone, or they are found again."""
        self.flush()
        with contextlib.suppress(sqlite3.Error), self._db:  # a row that stays promises artifacts that are looked for
            self._db.executemany("delete from actions where key = ?", ((key,) for key in keys))

    def recent(self, topic: str, before: float, limit: int = 50) -> Iterator[Record]:
        """Yield this topic's records that were finished before a time (seconds since the epoch), the newest first."""
        query = "select key from actions where topic = ? and finished_at < ? order by finished_at desc limit ?"
        return self._selected(query, topic, before, limit)

    def alike(self, preimage: Preimage, before: float, limit: int = 5) -> Iterator[Record]:
        """Yield records of the same stage with the same parameters, finished before a time, the newest first."""
        query = "select key from actions where likeness = ? and finished_at < ? order by finished_at desc limit ?"
        return self._selected(query, _likeness(preimage), before, limit)

    def has_family(self, family: str) -> bool:
        """Tell whether there is a record that differs from a computation in its inputs' content at most."""
        self.flush()
        return bool(self._rows("select 1 from actions where family = ? limit 1", family[:_SHORT]))

    def remember(self, kind: str, facts: dict[str, Any]) -> None:
        """Keep JSON answers by name."""
        texts = {name: json.dumps(value) for name, value in facts.items()}
        rows = [(kind, name, text, _checksum(kind, name, text)) for name, text in texts.items()]
        if rows:
            with contextlib.suppress(sqlite3.Error), self._db:
                self._db.executemany("insert or replace into facts values (?, ?, ?, ?)", rows)

    def recall(self, kind: str, name: str) -> Any:
        """Return the answer kept under this name, or None."""
        query = "select value, checksum from facts where kind = ? and name = ?"
        for text, checksum in self._rows(query, kind, name):
            if checksum == _checksum(kind, name, text):
                return json.loads(text)
        return None

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return a query's rows; a damaged database is built again, and one that cannot be read now has no rows."""
        try:
            return self._db.execute(query, values).fetchall()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not _is(error, _DAMAGED):
                return []
        self._db.close()
        self._at_end.detach()
        _discard(self._path)
        self._db = self._open()
        self._inode = _inode(self._path)
        self._at_end = weakref.finalize(self, _write, self._db, self._pending)
        return self._db.execute(query, values).fetchall()

    def _known(self, key: str, preimage: Preimage) -> Record | None:
        pending = self._pending.get(key)
        rows = [pending[-2:]] if pending else self._rows("select result, checksum from actions where key = ?", key)
        for result, checksum in rows:
            if checksum == _checksum(key, result) and (record := _unpacked(key, preimage, result)):
                return record
        return None

    def _selected(self, query: str, value: str, before: float, limit: int) -> Iterator[Record]:
        """Yield the records whose keys a query gives; one whose file was damaged or is gone tells nothing."""
        if self._earliest < before:
            self.flush()
        for (key,) in self._rows(query, value, before, limit):
            if (record := self._from_file(key)) and record.key == key:
                yield record

    def _open(self) -> sqlite3.Connection:
        """Return the database on disk; where that is impossible the one on disk to read only, or one in memory."""
        db: sqlite3.Connection | None = None
        for _ in range(2):
            try:
                return self._ready(sqlite3.connect(self._path, timeout=_PATIENCE_S, check_same_thread=False))
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is(error, _DAMAGED):
                    db = _read_only(self._path) if _is(error, _UNWRITABLE) else None
                    break
                _discard(self._path)
        return db or self._ready(sqlite3.connect(":memory:", check_same_thread=False))

    def _ready(self, db: sqlite3.Connection) -> sqlite3.Connection:
        """Return the database with its tables, filled from the records when it is new."""
        try:
            with contextlib.suppress(sqlite3.OperationalError):  # another process is just doing the same
                db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=normal")
            if (version := _version(db)) < _VERSION:
                self._build(db)
            elif version > _VERSION:
                raise EnvironmentProblem(
                    f"the store {self._path.parent} was used by a newer version of this program",
                    hint="install that version, or choose another folder with --store",
                )
        except BaseException:
            db.close()
            raise
        return db

    def _build(self, db: sqlite3.Connection) -> None:
        db.execute("begin immediate")
        with db:
            if _version(db) == _VERSION:  # another process was faster
                return
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            _insert(db, self._rows_of_files())
            db.execute(f"pragma user_version={_VERSION}")

    def _rows_of_files(self) -> Iterator[Row]:
        for key, _ in stored_files(self._records, ".json"):
            record = self._from_file(key)
            if record and action_key(record.preimage) == record.key:
                yield _row(record)

    def _from_file(self, key: str) -> Record | None:
        """Return a record as its file has it; one that is damaged or that another version wrote counts for nothing."""
        path = os.path.join(self._records, key[:2], f"{key[2:]}.json")
        if not os.path.exists(path):  # as mostly, and to find that out takes less than to fail
            return None
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            return None
        return _parsed(data)


def _read_only(path: Path) -> sqlite3.Connection | None:
    """Return a database that nobody can write, opened without the files that locking needs."""
    if not path.exists():
        return None
    uri = f"file:{quote(os.fspath(path))}?immutable=1"
    db = sqlite3.connect(uri, uri=True, check_same_thread=False)
    with contextlib.suppress(sqlite3.DatabaseError):
        if _version(db) == _VERSION:
            return db
    db.close()
    return None


def _row(record: Record) -> Row:
    data = record.to_json()
    del data["key"], data["preimage"]
    result = json.dumps(data)
    made_of = record.preimage
    family = family_key(made_of)[:_SHORT]
    checksum = _checksum(record.key, result)
    return record.key, made_of.topic, _likeness(made_of), family, record.finished_at, result, checksum


def _likeness(preimage: Preimage) -> str:
    return digest_value([preimage.stage, preimage.params])[:_SHORT]


def _write(db: sqlite3.Connection, pending: dict[str, Row]) -> None:
    """Write rows and forget them, written or not: a record is found by its file."""
    if pending:
        rows = list(pending.values())
        pending.clear()
        with contextlib.suppress(sqlite3.Error), db:
            _insert(db, rows)


def _insert(db: sqlite3.Connection, rows: Iterable[Row]) -> None:
    db.executemany("insert or replace into actions values (?, ?, ?, ?, ?, ?, ?)", rows)


def _unpacked(key: str, preimage: Preimage, result: str) -> Record | None:
    try:
        return Record.of(key, preimage, json.loads(result))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _checksum(*texts: str) -> str:
    """Return what tells a damaged row: SQLite checks its own structure, not what it holds."""
    return digest_bytes("\0".join(map(str, texts)).encode())[:16]


def _parsed(text: str | bytes) -> Record | None:
    try:
        return Record.from_json(json.loads(text))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _discard(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            os.unlink(f"{path}{suffix}")


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("pragma user_version").fetchone()[0]
    return version


def _is(error: Exception, codes: tuple[int, ...]) -> bool:
    if isinstance(error, UnicodeDecodeError):  # of a message that quotes damaged text
        return sqlite3.SQLITE_CORRUPT in codes
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in codes
