"""Releases, attempts to deliver them, notifications, and entries by their version."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Create the tables and the index."""
    op.create_index("ledger_by_version", "ledger", ["model", "version"])
    op.create_table(
        "releases",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("release", sa.Text, nullable=False),
    )
    op.create_table(
        "release_tags",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("digest", sa.String, nullable=False),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column("environment", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("attempt", sa.Text, nullable=False),
        sa.Column("failure", sa.Text),
        sa.Column("entry", sa.Integer),
    )
    op.create_table(
        "notifications",
        sa.Column("key", sa.String, primary_key=True),
        sa.Column("claimed_at", sa.Float, nullable=False),
    )
    op.create_index("ix_notifications_claimed_at", "notifications", ["claimed_at"])
    op.create_table(
        "notification_counts",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("result", sa.String, primary_key=True),
        sa.Column("number", sa.Integer, nullable=False),
    )
