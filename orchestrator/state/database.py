"""The file below the store: its folder, transactions and version; the database's errors are translated here only."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from orchestrator.errors import StateError
from orchestrator.state.schema import CHECKED, HEAD

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


class Database:
    """One SQLite file, at the version of this program. Usable from several threads."""

    def __init__(self, folder: Path) -> None:
        """Open the file, making or migrating it where needed. Raises StateError."""
        self.path = folder / _FILE
        _make_folder(folder)
        _refuse_network(folder)
        self._engine = _engine(self.path)
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
        with translated(self.path), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that is on the disk when it ends; one at a time, over all processes.

        Within another one of the same thread it is a part of that.
        """
        if (outer := getattr(self._mine, "connection", None)) is not None:
            yield outer
            return
        with self._turn, translated(self.path), self._engine.connect() as connection:
            connection.execution_options(writes=True)
            with connection.begin():
                self._mine.connection = connection
                try:
                    yield connection
                finally:
                    self._mine.connection = None

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _version(self) -> str | None:
        try:
            with self.reading() as connection:
                return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except StateError as error:
            if "no such table" in str(error.__cause__):
                return None
            raise

    def _upgrade(self, folder: Path) -> None:
        """Bring the tables to this program's version; of several processes one does it."""
        with _only_one(folder):
            before = self._version()
            if before == HEAD:
                return
            # Kept in the file; and nothing that can be done within a transaction.
            with translated(self.path), closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as plain:
                plain.execute("PRAGMA journal_mode=WAL")
            with self.writing() as connection:
                migrate(connection, self.path, before)


def migrate(connection: Connection, path: Path, before: str | None) -> None:
    """Run the migrations from version `before` within the connection's transaction. Raises StateError."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise StateError(
            f"{path} was written by a newer version of orchestrator (its tables are at {before}, ours at {HEAD})",
            hint="use that version, or a newer one",
        )
    command.upgrade(config, "head")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """The database's own errors as StateError, each with what to do."""
    try:
        yield
    except DBAPIError as error:
        raise _explained(path, str(error.orig)) from error
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


def _engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": _BUSY_SECONDS},
        pool_size=8,
        max_overflow=64,
        json_deserializer=orjson.loads,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not guessed by the driver
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.info.pop(CHECKED, None)
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


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
