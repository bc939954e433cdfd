"""Copies of small records that never change (manifests, versions, pins), so that a plan reads each of them once.

A record is create-only, so name and etag say which bytes it has. What is kept here had proved to be whole when it was
read; its SHA-256 is compared at every use. Losing this file costs requests, nothing else.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
import zlib
from contextlib import suppress
from pathlib import Path

from studio_pipeline.store.manifest import Corrupt, decode_record, known_sound

__all__ = ["RecordCache"]

BATCH = 200  # records written in one transaction

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS records (store TEXT, name TEXT, etag TEXT, sha256 BLOB, data BLOB, used REAL, "
    "PRIMARY KEY (store, name)) WITHOUT ROWID"
)


class RecordCache:
    """Records of one store in an SQLite file that several processes and stores may share.

    Args:
        path: The file; a broken one is made anew.
        store: Whose records.
        limit: Bytes of data to keep at most; the least recently used go first.
    """

    def __init__(self, path: Path, *, store: str, limit: int) -> None:
        self._path, self._store, self._limit = path, store, limit
        self._mutex = threading.Lock()
        self._etags: dict[str, str] = {}
        self._used: set[str] = set()
        # Not yet in the file: an insert that isn't committed would lock it for every other process, and a farm's
        # worker lives for days.
        self._pending: dict[str, tuple[str, bytes, bytes, float]] = {}
        self._open()

    @property
    def place(self) -> tuple[str, str, str]:
        """File, store and limit, as words for another process that is to use the same records."""
        return str(self._path), self._store, str(self._limit)

    def reload(self) -> None:
        """Take notice of what other processes have put into the file."""
        with self._mutex:
            self._write()
            self._etags.update(self._run("SELECT name, etag FROM records WHERE store=?", self._store))

    def holds(self, name: str, etag: str) -> bool:
        """Whether the record is here."""
        return self._etags.get(name) == etag

    def get(self, name: str, etag: str) -> bytes | None:
        """The record's bytes, None when they aren't here or aren't what was kept."""
        if not self.holds(name, etag):
            return None
        with self._mutex:
            kept = self._pending.get(name)
            query = "SELECT sha256, data FROM records WHERE store=? AND name=? AND etag=?"
            row = [kept[1:3]] if kept and kept[0] == etag else self._run(query, self._store, name, etag)
        try:
            data = zlib.decompress(row[0][1]) if row else b""
        except zlib.error:
            data = b""
        if not row or hashlib.sha256(data).digest() != row[0][0]:
            self._etags.pop(name, None)
            return None
        known_sound(row[0][0])
        self._used.add(name)
        return data

    def put(self, name: str, etag: str, data: bytes) -> None:
        """Keep a record that is whole; anything else is left alone."""
        try:
            decode_record(data, name)
        except Corrupt:
            return
        digest, packed = hashlib.sha256(data).digest(), zlib.compress(data, 1)
        with self._mutex:
            self._pending[name] = (etag, digest, packed, time.time())
            self._etags[name] = etag
            if len(self._pending) >= BATCH:
                self._write()

    def trim(self) -> None:
        """Write down what was kept, and let the least recently used go when there is too much."""
        with self._mutex:
            self._write()
            total = self._run("SELECT COALESCE(SUM(LENGTH(data)), 0) FROM records")
            if total and total[0][0] > self._limit:
                for name in self._used:
                    self._run("UPDATE records SET used=? WHERE store=? AND name=?", time.time(), self._store, name)
                self._run(
                    "DELETE FROM records WHERE (store, name) IN (SELECT store, name FROM (SELECT store, name, "
                    "SUM(LENGTH(data)) OVER (ORDER BY used DESC, store, name) AS upto FROM records) WHERE upto > ?)",
                    int(self._limit * 0.8),
                )
                self._used.clear()
            self._commit()

    def _open(self) -> None:
        self._owner = os.getpid()
        self._connection: sqlite3.Connection | None = None
        try:
            # Short transactions: several processes share the file.
            connection = sqlite3.connect(self._path, timeout=5.0, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.execute(_SCHEMA)
            rows = connection.execute("SELECT name, etag FROM records WHERE store=?", (self._store,))
            self._etags = dict(rows.fetchall())
            self._connection = connection
        except sqlite3.OperationalError:
            return  # locked or read-only: the store itself has everything
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)

    def _run(self, statement: str, *values: object) -> list[tuple]:
        """Rows; none when the file can't be used."""
        if self._owner != os.getpid():  # a connection doesn't survive a fork
            self._open()
        try:
            return self._connection.execute(statement, values).fetchall() if self._connection else []
        except sqlite3.Error:
            return []

    def _write(self) -> None:
        """What was kept, in one short transaction; a file that stays locked goes without."""
        rows = [(self._store, name, *rest) for name, rest in self._pending.items()]
        self._pending.clear()
        self._run("SELECT 1")  # after a fork this opens the file anew
        if rows and self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)", rows)
            self._commit()

    def _commit(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.commit()
            if self._connection.in_transaction:
                with suppress(sqlite3.Error):
                    self._connection.rollback()
