"""The file below the store: its folder, transactions and version; the database's errors are translated here only."""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from orchestrator.errors import StateError
from orchestrator.state.schema import HEAD, JSON

ELSEWHERE = "ORCHESTRATOR_STATE_DIR"

_FOLDER = ".orchestrator"
_FILE = "state.db"
_BUSY_SECONDS = 30.0

# SQLite's log needs shared memory and locks that hold, which these do not give.
_NETWORK = frozenset(
    (
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ncpfs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs"),
        *("fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.glusterfs", "fuse.ceph", "fuse.gcsfuse"),
    )
)


def state_folder(root: Path) -> Path:
    """Where an estate's state is: `.orchestrator` in it, or a folder of its own below ORCHESTRATOR_STATE_DIR."""
    elsewhere = os.environ.get(ELSEWHERE)
    if not elsewhere:
        return root / _FOLDER
    whole = str(root.resolve())
    return Path(elsewhere) / f"{root.resolve().name}-{sha256(whole.encode()).hexdigest()[:8]}"


def file_system(path: str, mounts: str) -> str:
    """The type of the file system that an absolute path is on, given the text of /proc/self/mountinfo."""
    best, found = -1, ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = fields[4].replace("\\040", " ")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= best:
            best, found = len(point), after.split()[0]
    return found


class Connection:
    """A transaction: statements in, rows as dicts out; columns that hold JSON are data on our side."""

    def __init__(self, plain: sqlite3.Connection) -> None:
        self._plain = plain

    def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """All rows of an answer."""
        cursor = self._plain.execute(statement, values)
        names = [column[0] for column in cursor.description]
        coded = [name for name in names if name in JSON]
        found = [dict(zip(names, row, strict=True)) for row in cursor]
        for row in found:
            for name in coded:
                row[name] = json.loads(row[name])
        return found

    def row(self, statement: str, **values: Any) -> dict[str, Any] | None:
        """The first row of an answer; None where it has none."""
        return next(iter(self.rows(statement, **values)), None)

    def run(self, statement: str, **values: Any) -> None:
        """A statement without an answer."""
        self._plain.execute(statement, values)

    def insert(self, table: str, values: Mapping[str, Any]) -> int:
        """Add a row; its number."""
        return int(self._plain.execute(_insert(table, tuple(values)), _coded(values)).lastrowid or 0)

    def put(self, table: str, keys: Sequence[str], values: Mapping[str, Any]) -> None:
        """Add a row, or change the one with these keys."""
        others = ", ".join(f'"{name}" = excluded."{name}"' for name in values if name not in keys)
        conflict = f" ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {others}"
        self._plain.execute(_insert(table, tuple(values)) + conflict, _coded(values))


def _insert(table: str, names: Sequence[str]) -> str:
    columns, places = ", ".join(f'"{name}"' for name in names), ", ".join(f":{name}" for name in names)
    return f"INSERT INTO {table} ({columns}) VALUES ({places})"  # noqa: S608 - names of ours, never data


def _coded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if name in JSON else value for name, value in values.items()}


class Database:
    """One SQLite file, at the version of this program. Usable from several threads."""

    def __init__(self, folder: Path) -> None:
        """Open the file, making or migrating it where needed. Raises StateError."""
        self.path = folder / _FILE
        _make_folder(folder)
        _refuse_network(folder)
        self._idle: deque[sqlite3.Connection] = deque()
        self._turn = threading.Lock()  # SQLite makes a writer that finds another one sleep; a lock wakes it at once
        self._mine = threading.local()
        try:
            if self._version() != HEAD:
                self._upgrade(folder)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that sees one moment."""
        with translated(self.path), self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is on the disk when it ends; one at a time, over all processes.

        Within another one of the same thread it is a part of that.
        """
        if (outer := getattr(self._mine, "connection", None)) is not None:
            yield outer
            return
        with self._turn, translated(self.path), self._transaction("BEGIN IMMEDIATE") as connection:
            self._mine.connection = connection
            try:
                yield connection
            finally:
                self._mine.connection = None

    def close(self) -> None:
        """Close all connections."""
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        plain = self._idle.pop() if self._idle else connected(self.path)
        try:
            plain.execute(begin)
            yield Connection(plain)
            plain.execute("COMMIT")
        except BaseException:
            plain.close()  # which rolls back
            raise
        self._idle.append(plain)

    def _version(self) -> str | None:
        try:
            with self.reading() as connection:
                found = connection.row("SELECT version_num FROM alembic_version")
        except StateError as error:
            if "no such table" in str(error.__cause__):
                return None
            raise
        return str(found["version_num"]) if found else None

    def _upgrade(self, folder: Path) -> None:
        """Bring the tables to this program's version; of several processes one does it."""
        from orchestrator.state.migrating import migrate

        with _only_one(folder):
            before = self._version()
            if before == HEAD:
                return
            # Kept in the file; and nothing that can be done within a transaction.
            with translated(self.path), closing(connected(self.path)) as plain:
                plain.execute("PRAGMA journal_mode=WAL")
                migrate(plain, self.path, before)


def connected(path: Path) -> sqlite3.Connection:
    """A connection; transactions are begun where they are needed, not guessed by the driver."""
    plain = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    plain.execute("PRAGMA synchronous=FULL")
    plain.execute("PRAGMA foreign_keys=ON")
    return plain


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The database's own errors as StateError, each with what to do."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(path, str(error)) from error


def _explained(path: Path, why: str) -> StateError:
    if any(word in why for word in ("not a database", "malformed", "no such column")):
        return StateError(
            f"{path} is damaged ({why})",
            hint=f"move it away (mv {path} {path}.damaged) and run again: what is applied is read from the targets, "
            "only the history is lost",
        )
    if "locked" in why or "busy" in why:
        return StateError(
            f"{path} is in use by another process for more than {_BUSY_SECONDS:.0f} s", hint="try again when it is done"
        )
    if any(word in why for word in ("readonly", "unable to open", "permission")):
        return StateError(
            f"{path} cannot be opened for writing ({why})",
            hint=f"make its folder writable for you, or name another one in {ELSEWHERE}",
        )
    if "disk" in why:
        return StateError(f"{path} cannot be written ({why})", hint="make room on that disk")
    return StateError(f"{path} cannot be used: {why}", hint=f"if it stays so: mv {path} {path}.damaged and run again")


def _make_folder(folder: Path) -> None:
    """For the owner's eyes only, and ignored by git by itself."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n")
        (folder / _FILE).touch(mode=0o600, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"the state folder {folder} cannot be made: {error.strerror}",
            hint=f"make it writable for you, or name another one in {ELSEWHERE}",
        ) from error


def _refuse_network(folder: Path) -> None:
    try:
        mounts = Path("/proc/self/mountinfo").read_text()
    except OSError:
        return
    kind = file_system(str(folder.resolve()), mounts)
    if kind in _NETWORK:
        raise StateError(
            f"the state folder {folder} is on a network file system ({kind}), where a journal is not safe",
            hint=f"name a folder on a local disk in {ELSEWHERE}",
        )


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    with (folder / "state.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
