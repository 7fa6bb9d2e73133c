"""The store's index: a SQLite file that answers "is this key there?" without touching a folder of records.

It only saves time. Every record also lies in `actions/` as JSON, from which a key is answered that the index does not
know (a process was killed between the two) and from which a lost or damaged index is built again; `facts` are
remembered answers (a module's syntax-tree digest by its source, a data file's digest, that a file was valid). So an
index that cannot be written (a full disk, a read-only folder) stops nothing here: what has to be durable is the record.
A row that was damaged is no answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.core.errors import EnvironmentProblem
from pipeline.core.keys import action_key, digest_bytes, family_key
from pipeline.store.record import Record

__all__ = ["Index"]

_VERSION = 2
_SCHEMA = """
drop table if exists actions;
drop table if exists facts;
create table actions (
  key text primary key, topic text, family text, finished_at real, record text, checksum text
) without rowid;
create index actions_by_topic on actions (topic, finished_at desc);
create index actions_by_family on actions (family);
create table facts (kind text, name text, value text, checksum text, primary key (kind, name)) without rowid;
"""
# The queries are always the same, so one that SQLite does not understand meets tables that are not ours any more.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
_PATIENCE_S = 30.0  # for other processes that write


class Index:
    """Open (and create or rebuild where needed) the index of the store at `root`.

    Raises EnvironmentProblem when a newer version of this program has made it.
    """

    def __init__(self, root: Path) -> None:
        self._path = root / "index.sqlite3"
        self._records = root / "actions"
        self._db = self._open()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, key: str) -> Record | None:
        """Return the record under this key."""
        for text, checksum in self._rows("select record, checksum from actions where key = ?", key):
            if checksum == _checksum(text) and (record := _parsed(text)) and record.key == key:
                return record
        record = self._from_file(self._records / key[:2] / f"{key[2:]}.json")
        if record is None or record.key != key:
            return None
        self.put(record)
        return record

    def put(self, record: Record) -> None:
        """Add or replace a record, in one transaction."""
        with contextlib.suppress(sqlite3.Error), self._db:  # it is found by its file
            self._insert(record)

    def recent(self, topic: str, before: float, limit: int = 50) -> Iterator[Record]:
        """Yield this topic's records that were finished before a time (seconds since the epoch), the newest first."""
        query = (
            "select record, checksum from actions where topic = ? and finished_at < ? order by finished_at desc limit ?"
        )
        for text, checksum in self._rows(query, topic, before, limit):
            if checksum == _checksum(text) and (record := _parsed(text)):
                yield record

    def has_family(self, family: str) -> bool:
        """Tell whether there is a record that differs from a computation in its inputs' content at most."""
        return bool(self._rows("select 1 from actions where family = ? limit 1", family))

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
        self._discard()
        self._db = self._open()
        return self._db.execute(query, values).fetchall()

    def _insert(self, record: Record) -> None:
        family = family_key(record.preimage)
        text = json.dumps(record.to_json())
        values = (record.key, record.preimage.topic, family, record.finished_at, text, _checksum(text))
        self._db.execute("insert or replace into actions values (?, ?, ?, ?, ?, ?)", values)

    def _open(self) -> sqlite3.Connection:
        """Return the database on disk; where that is impossible the one on disk to read only, or one in memory."""
        db: sqlite3.Connection | None = None
        for _ in range(2):
            try:
                return self._ready(sqlite3.connect(self._path, timeout=_PATIENCE_S, check_same_thread=False))
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                if not _is(error, _DAMAGED):
                    db = self._read_only() if _is(error, _UNWRITABLE) else None
                    break
                self._discard()
        return db or self._ready(sqlite3.connect(":memory:", check_same_thread=False))

    def _read_only(self) -> sqlite3.Connection | None:
        """Return a database that nobody can write, opened without the files that locking needs."""
        if not self._path.exists():
            return None
        uri = f"file:{quote(os.fspath(self._path))}?immutable=1"
        db = sqlite3.connect(uri, uri=True, check_same_thread=False)
        with contextlib.suppress(sqlite3.DatabaseError):
            if _version(db) == _VERSION:
                return db
        db.close()
        return None

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
            self._db = db
            for path in self._records.glob("*/*.json"):
                if record := self._from_file(path):
                    self._insert(record)
            db.execute(f"pragma user_version={_VERSION}")

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(f"{self._path}{suffix}")

    def _from_file(self, path: Path) -> Record | None:
        """Return a record as its file has it; one that is damaged or that another version wrote counts for nothing."""
        try:
            record = _parsed(path.read_bytes())
        except OSError:
            return None
        return record if record and action_key(record.preimage) == record.key else None


def _checksum(*texts: str) -> str:
    """Return what tells a damaged row: SQLite checks its own structure, not what it holds."""
    return digest_bytes("\0".join(map(str, texts)).encode())[:16]


def _parsed(text: str | bytes) -> Record | None:
    try:
        return Record.from_json(json.loads(text))
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("pragma user_version").fetchone()[0]
    return version


def _is(error: Exception, codes: tuple[int, ...]) -> bool:
    if isinstance(error, UnicodeDecodeError):  # of a message that quotes damaged text
        return sqlite3.SQLITE_CORRUPT in codes
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in codes
