"""Versions with their evaluations, and which drift reports the storage has."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the tables."""
    is_recorded = sa.text("record IS NOT NULL")
    op.create_table(
        "versions",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("version", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False),
        sa.Column("reserved", sa.Float, nullable=False),
        sa.Column("registry_version", sa.String),
        sa.Column("record", sa.Text),
        sa.Column("evaluation", sa.Text),
    )
    op.create_index(
        "versions_recorded",
        "versions",
        ["model", "version"],
        sqlite_where=is_recorded,
        postgresql_where=is_recorded,
    )
    op.create_index("versions_by_owner", "versions", ["model", "owner"])
    op.create_index("versions_by_number", "versions", ["model", "registry_version"])
    op.create_table(
        "drift_reports",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("report", sa.String, primary_key=True),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("made", sa.Float, nullable=False),
    )
    op.create_index(
        "drift_reports_by_time", "drift_reports", ["model", "source", "made"]
    )
