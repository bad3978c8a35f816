"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make all tables."""
    _records()
    _journal()
    op.create_table(
        "outputs",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("placement", sa.Text, primary_key=True),
        sa.Column("values", sa.JSON, nullable=False),
    )
    op.create_table(
        "leases",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("token", sa.Integer, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("until", sa.Float, nullable=False),
    )
    op.create_table(
        "places",
        sa.Column("site", sa.Text, primary_key=True),
        sa.Column("data", sa.JSON, nullable=False),
    )


def _records() -> None:
    op.create_table(
        "records",
        sa.Column("address", sa.Text, primary_key=True),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("identity", sa.Text, nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("spec", sa.JSON, nullable=False),
        sa.Column("uid", sa.Text, nullable=False),
        sa.Column("blueprint", sa.Text, nullable=False),
        sa.Column("protected", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("seen_at", sa.Float, nullable=False),
    )
    op.create_index("records_site", "records", ["site"])


def _journal() -> None:
    op.create_table(
        "runs",
        sa.Column("run", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("ended", sa.Float),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("counts", sa.JSON, nullable=False),
        sa.Column("planned", sa.JSON, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "steps",
        sa.Column("step", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.run", ondelete="CASCADE"), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("wave", sa.Integer, nullable=False),
        sa.Column("started", sa.Float, nullable=False),
        sa.Column("ended", sa.Float),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("place", sa.Text, nullable=False),
    )
    op.create_index("steps_run", "steps", ["run"])
    op.create_index("steps_site", "steps", ["site", "run"])
    op.create_table(
        "logs",
        sa.Column("step", sa.Integer, sa.ForeignKey("steps.step", ondelete="CASCADE"), primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
    )
