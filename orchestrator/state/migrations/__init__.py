"""Alembic's scripts: how the tables of an older version become those of this one."""
