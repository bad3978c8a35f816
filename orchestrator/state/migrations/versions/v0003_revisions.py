"""What placements were resolved from, which workloads were left so, and what stays as it was."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the tables; of older runs there are no revisions."""
    op.create_table(
        "contents",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("digest", sa.Text, primary_key=True),
        sa.Column("data", sa.JSON, nullable=False),
    )
    op.create_table(
        "goods",
        sa.Column("good", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("run", sa.Integer, sa.ForeignKey("runs.run", ondelete="CASCADE"), nullable=False),
        sa.Column("site", sa.Text, nullable=False),
        sa.Column("placement", sa.Text, nullable=False),
        sa.Column("mode", sa.Text, nullable=False),
        sa.Column("workload", sa.Text, nullable=False),
        sa.Column("revision", sa.Text, sa.ForeignKey("revisions.digest"), nullable=False),
        sa.Index("goods_placement", "placement", "run"),
    )
    op.create_table(
        "pins",
        sa.Column("placement", sa.Text, primary_key=True),
        sa.Column("site", sa.Text, primary_key=True),  # empty, as mode and workload: the whole placement
        sa.Column("mode", sa.Text, primary_key=True),
        sa.Column("workload", sa.Text, primary_key=True),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("revision", sa.Text, sa.ForeignKey("revisions.digest"), nullable=False),
        sa.Column("documents", sa.Text, nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
    )
