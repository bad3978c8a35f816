"""Who carried out a run, so that one whose process is gone can be told from one that is under way."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the holder; of older runs it is not known."""
    op.add_column("runs", sa.Column("holder", sa.Text, nullable=False, server_default=""))
