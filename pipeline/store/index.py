"""The store's index: a SQLite file that answers "is this key there?" without touching a folder of records.

It can be lost: everything in `actions` is rebuilt from the JSON record beside each result, and `facts` are only
remembered answers (a module's syntax-tree digest by its source, a large data file's digest, that a file was valid).
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.store.record import Record

__all__ = ["Index"]

_SCHEMA = """
create table if not exists actions (key text primary key, stage text, finished_at real, record text) without rowid;
create index if not exists actions_by_stage on actions (stage, finished_at desc);
create table if not exists facts (kind text, name text, value text, primary key (kind, name)) without rowid;
"""


class Index:
    """Open (and create or rebuild where needed) the index of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._path = root / "index.sqlite3"
        self._records = root / "actions"
        fresh = not self._path.exists()
        try:
            self._db = self._open()
        except sqlite3.DatabaseError:
            self._discard()
            self._db, fresh = self._open(), True
        if fresh:
            self._rebuild()

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, key: str) -> Record | None:
        """Return the record under this key."""
        row = self._db.execute("select record from actions where key = ?", (key,)).fetchone()
        return Record.from_json(json.loads(row[0])) if row else None

    def put(self, record: Record) -> None:
        """Add or replace a record, in one transaction."""
        with self._db:
            self._insert(record)

    def recent(self, stage: str, limit: int = 50) -> Iterator[Record]:
        """Yield this stage's records, the newest first."""
        query = "select record from actions where stage = ? order by finished_at desc limit ?"
        for (text,) in self._db.execute(query, (stage, limit)):
            yield Record.from_json(json.loads(text))

    def remember(self, kind: str, facts: dict[str, Any]) -> None:
        """Keep JSON answers by name."""
        rows = [(kind, name, json.dumps(value)) for name, value in facts.items()]
        if rows:
            with self._db:
                self._db.executemany("insert or replace into facts values (?, ?, ?)", rows)

    def recall(self, kind: str, name: str) -> Any:
        """Return the answer kept under this name, or None."""
        row = self._db.execute("select value from facts where kind = ? and name = ?", (kind, name)).fetchone()
        return json.loads(row[0]) if row else None

    def _insert(self, record: Record) -> None:
        values = (record.key, record.preimage.stage, record.finished_at, json.dumps(record.to_json()))
        self._db.execute("insert or replace into actions values (?, ?, ?, ?)", values)

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=30.0, check_same_thread=False)
        try:
            db.execute("pragma journal_mode=wal")
            db.execute("pragma synchronous=normal")
            if not db.execute("select 1 from sqlite_master where name = 'facts'").fetchone():
                db.executescript(_SCHEMA)
        except sqlite3.DatabaseError:
            db.close()
            raise
        return db

    def _discard(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._path}{suffix}")

    def _rebuild(self) -> None:
        if not self._records.is_dir():
            return
        with self._db:
            for path in sorted(self._records.glob("*/*.json")):
                try:
                    record = Record.from_json(json.loads(path.read_bytes()))
                except (ValueError, KeyError, TypeError):
                    path.unlink()  # a record that cannot be read is a result that has to be computed again
                    continue
                self._insert(record)
