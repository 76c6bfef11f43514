"""Ledgers with their heads, plans, and what the registry's aliases were set after."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "ledger",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("key", sa.String),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("signature", sa.String),
        sa.UniqueConstraint("model", "key"),
    )
    op.create_index("ledger_by_kind", "ledger", ["model", "kind"])
    op.create_table(
        "ledger_heads",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("signature", sa.String),
    )
    op.create_table(
        "plans",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("published", sa.Boolean, nullable=False),
    )
    op.create_index(
        "plans_unpublished",
        "plans",
        ["model"],
        sqlite_where=sa.text("NOT published"),
        postgresql_where=sa.text("NOT published"),
    )
    op.create_table(
        "alias_syncs",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
    )
