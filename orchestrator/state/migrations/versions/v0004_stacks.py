"""The states of the stacks of Pulumi programs, with their history."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make their table."""
    op.create_table(
        "stacks",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("serial", sa.Integer, nullable=False),
        sa.Column("kept", sa.Float, nullable=False),
        sa.Column("about", sa.JSON, nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("stacks_workload", "stacks", ["workload", "number"])
