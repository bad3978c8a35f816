"""Bringing a file to the tables of this program; nothing else here needs SQLAlchemy and Alembic."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from orchestrator.errors import StateError
from orchestrator.state.schema import HEAD


def migrate(plain: sqlite3.Connection, path: Path, before: str | None) -> None:
    """Run the migrations from version `before`, all or none. Raises StateError, and sqlite3's errors."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise StateError(
            f"{path} was written by a newer version of orchestrator (its tables are at {before}, ours at {HEAD})",
            hint="use that version, or a newer one",
        )
    engine = create_engine("sqlite://", creator=lambda: plain, poolclass=StaticPool)

    @event.listens_for(engine, "begin")
    def _begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except DBAPIError as error:
        raise error.orig or error from None
