"""Rasters and cubes: what was staged, and the present one of each source."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the two tables."""
    op.create_table(
        "grids",
        sa.Column("grid_id", sa.String(length=26), nullable=False),
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("grid_id", name="pk_grids"),
    )
    op.create_index("ix_grids_dataset_source", "grids", ["dataset", "source"], unique=False)
    op.create_table(
        "current_grids",
        sa.Column("dataset", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("grid_id", sa.String(length=26), nullable=False),
        sa.ForeignKeyConstraint(["grid_id"], ["grids.grid_id"], name="fk_current_grids_grid_id"),
        sa.PrimaryKeyConstraint("dataset", "source", name="pk_current_grids"),
    )
