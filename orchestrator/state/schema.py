"""The tables. A change here needs a new migration, and `HEAD` set to it."""

from __future__ import annotations

from sqlalchemy import JSON, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.dialects.sqlite import Insert, insert

HEAD = "0004"
# In a connection's `info`: the leases that its transaction has checked. Nobody else writes until that ends.
CHECKED = "checked leases"

metadata = MetaData()

records = Table(
    "records",
    metadata,
    Column("address", Text, primary_key=True),
    Column("site", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("identity", Text, nullable=False),
    Column("inputs", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("spec", JSON, nullable=False),
    Column("uid", Text, nullable=False),
    Column("blueprint", Text, nullable=False),
    Column("protected", Text, nullable=False),
    Column("run", Integer, nullable=False),
    Column("seen_at", Float, nullable=False),
    Index("records_site", "site"),
)

runs = Table(
    "runs",
    metadata,
    Column("run", Integer, primary_key=True, autoincrement=True),
    Column("kind", Text, nullable=False),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("result", Text, nullable=False),
    Column("counts", JSON, nullable=False),
    Column("planned", JSON, nullable=False),  # what was agreed to, in the form of a saved plan
    Column("holder", Text, nullable=False, server_default=""),
    sqlite_autoincrement=True,  # a number is never used twice
)

steps = Table(
    "steps",
    metadata,
    Column("step", Integer, primary_key=True, autoincrement=True),
    Column("run", Integer, ForeignKey("runs.run", ondelete="CASCADE"), nullable=False),
    Column("address", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("wave", Integer, nullable=False),
    Column("started", Float, nullable=False),
    Column("ended", Float),
    Column("result", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("place", Text, nullable=False),  # file:line
    Index("steps_run", "run"),
    Index("steps_site", "site", "run"),
)

logs = Table(
    "logs",
    metadata,
    Column("step", Integer, ForeignKey("steps.step", ondelete="CASCADE"), primary_key=True),
    Column("text", Text, nullable=False),
)

outputs = Table(
    "outputs",
    metadata,
    Column("site", Text, primary_key=True),
    Column("placement", Text, primary_key=True),
    Column("values", JSON, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("site", Text, primary_key=True),
    Column("token", Integer, nullable=False),
    Column("holder", Text, nullable=False),  # empty: nobody
    Column("run", Integer, nullable=False),
    Column("since", Float, nullable=False),
    Column("until", Float, nullable=False),
)

places = Table(
    "places",
    metadata,
    Column("site", Text, primary_key=True),
    Column("data", JSON, nullable=False),
)

contents = Table(
    "contents",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

revisions = Table(
    "revisions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("data", JSON, nullable=False),
)

goods = Table(
    "goods",
    metadata,
    Column("good", Integer, primary_key=True, autoincrement=True),
    Column("run", Integer, ForeignKey("runs.run", ondelete="CASCADE"), nullable=False),
    Column("site", Text, nullable=False),
    Column("placement", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("workload", Text, nullable=False),
    Column("revision", Text, ForeignKey("revisions.digest"), nullable=False),
    Index("goods_placement", "placement", "run"),
)

pins = Table(
    "pins",
    metadata,
    Column("placement", Text, primary_key=True),
    Column("site", Text, primary_key=True),  # empty, as mode and workload: the whole placement
    Column("mode", Text, primary_key=True),
    Column("workload", Text, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("revision", Text, ForeignKey("revisions.digest"), nullable=False),
    Column("documents", Text, nullable=False),
    Column("since", Float, nullable=False),
    Column("why", Text, nullable=False),
)

stacks = Table(
    "stacks",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("workload", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("serial", Integer, nullable=False),
    Column("kept", Float, nullable=False),
    Column("about", JSON, nullable=False),
    Column("state", LargeBinary, nullable=False),  # compressed; what is secret in it is encrypted
    Index("stacks_workload", "workload", "number"),
    sqlite_autoincrement=True,
)


def put(table: Table) -> Insert:
    """The statement that adds a row, or changes the one that has its primary key; executed with all columns' values.

    Statements are made once, where a module is read: making one costs more than executing it.
    """
    statement = insert(table)
    keys = [column.name for column in table.primary_key]
    others = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=keys, set_=others)
