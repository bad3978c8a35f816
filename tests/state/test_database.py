"""The file: where it is, its version, and what is said when it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import StateError
from orchestrator.model.record import Record
from orchestrator.state import open_store, state_folder
from orchestrator.state.database import Database, file_system, translated
from orchestrator.state.schema import HEAD, metadata
from tests.state.conftest import WEB

FILE = Path(".orchestrator/state.db")
FIRST = Path(__file__).parent / "first.sql"


def columns(path: Path) -> dict[str, list[tuple[str, str, int, int]]]:
    with closing(sqlite3.connect(path)) as plain:
        tables = [name for (name,) in plain.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        shape = {name: [row[1:4] + row[5:6] for row in plain.execute(f"PRAGMA table_info({name})")] for name in tables}
    return {name: rows for name, rows in shape.items() if name != "alembic_version" and not name.startswith("sqlite_")}


def test_folder_is_private_and_ignored_by_git(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    folder = tmp_path / ".orchestrator"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    status = subprocess.run(["git", "-C", str(tmp_path), "status", "--porcelain"], check=True, capture_output=True)
    assert status.stdout == b""


def test_it_syncs_and_logs_ahead(tmp_path: Path) -> None:
    database = Database(tmp_path / ".orchestrator")
    with database.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()


def test_migrations_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    from sqlalchemy import create_engine

    open_store(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path}/plain.db")
    metadata.create_all(engine)
    engine.dispose()
    assert columns(tmp_path / FILE) == columns(tmp_path / "plain.db")


def test_head_is_the_last_migration(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as plain:
        assert plain.execute("SELECT version_num FROM alembic_version").fetchall() == [(HEAD,)]


def test_a_file_of_the_first_version_keeps_what_it_has(tmp_path: Path) -> None:
    (tmp_path / ".orchestrator").mkdir()
    with closing(sqlite3.connect(tmp_path / FILE)) as plain:
        plain.executescript(FIRST.read_text())
    with open_store(tmp_path) as store:
        assert store.records()[WEB].facts == {"address": "10.0.0.1"}
        assert store.run(1).steps[0].result == "done"
        assert store.log(1, str(WEB)) == "the log"
        assert store.places() == {"s": {"a": 1}}


def test_a_migration_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / ".orchestrator").mkdir()
    with closing(sqlite3.connect(tmp_path / FILE)) as plain:
        plain.execute("CREATE TABLE places (x)")  # in the way of the last step
    with pytest.raises(StateError):
        open_store(tmp_path)
    assert set(columns(tmp_path / FILE)) == {"places"}


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as plain:
        plain.execute("UPDATE alembic_version SET version_num = '9999'")
        plain.commit()
    with pytest.raises(StateError, match="newer version of orchestrator"):
        open_store(tmp_path)


@pytest.mark.parametrize("content", [b"this is no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_damaged_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    open_store(tmp_path).close()
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StateError, match=r"is damaged .*move it away \(mv "):
        open_store(tmp_path)


def test_a_file_damaged_in_the_middle_says_so_when_read(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for number in range(200):
            store.save(Record(replace(WEB, name=f"n/{number}"), "d" * 500, "i"), None)
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    data[4096 * 20 : 4096 * 30] = b"\xff" * (4096 * 10)
    path.write_bytes(data)
    with pytest.raises(StateError, match="is damaged"), open_store(tmp_path) as store:
        store.records()


def test_an_empty_file_is_a_new_store(tmp_path: Path) -> None:
    (tmp_path / ".orchestrator").mkdir()
    (tmp_path / FILE).touch()
    with open_store(tmp_path) as store:
        assert store.records() == {}


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / ".orchestrator").write_text("a file in the way")
    with pytest.raises(StateError, match="ORCHESTRATOR_STATE_DIR"):
        open_store(tmp_path)


def test_errors_of_the_disk_are_told_as_such(tmp_path: Path) -> None:
    for why, what in (
        ("database or disk is full", "make room"),
        ("database is locked", "in use by another process"),
        ("attempt to write a readonly database", "make its folder writable"),
        ("something else", "cannot be used: something else"),
    ):
        with pytest.raises(StateError, match=what), translated(tmp_path / "state.db"):
            raise sqlite3.OperationalError(why)


def test_state_can_be_elsewhere_one_folder_for_each_estate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STATE_DIR", str(tmp_path / "elsewhere"))
    one, two = tmp_path / "a" / "estate", tmp_path / "b" / "estate"
    assert len({state_folder(one), state_folder(two)}) == 2
    assert state_folder(one).parent == tmp_path / "elsewhere"
    open_store(one).close()
    assert not (one / ".orchestrator").exists()


def test_network_file_systems_are_told_by_the_longest_mount() -> None:
    mounts = (
        "21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
        "22 21 0:40 / /home rw shared:1 - nfs4 server:/home rw\n"
        "23 22 0:41 / /home/me/local\\040disk rw - xfs /dev/sdb rw\n"
    )
    assert file_system("/srv/estate", mounts) == "ext4"
    assert file_system("/home/me/estate", mounts) == "nfs4"
    assert file_system("/homes/me", mounts) == "ext4"
    assert file_system("/home/me/local disk/estate", mounts) == "xfs"
    assert file_system("/x", "") == ""


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.state.database.file_system", lambda path, mounts: "nfs4")
    with pytest.raises(StateError, match=r"network file system \(nfs4\).*ORCHESTRATOR_STATE_DIR"):
        open_store(tmp_path)


def test_opening_what_is_there_imports_no_migrations(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    code = (
        "import sys, time; import sqlalchemy; from pathlib import Path; from orchestrator.state import open_store\n"
        "start = time.perf_counter()\n"
        "with open_store(Path(sys.argv[1])) as store: store.records()\n"
        "print(time.perf_counter() - start, 'alembic' in sys.modules, 'orchestrator.desired' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, env=os.environ
    )
    seconds, alembic, desired = answer.stdout.split()
    assert (alembic, desired) == ("False", "False")
    assert float(seconds) < 0.5  # a hundredth of that where nothing else runs
