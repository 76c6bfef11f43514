"""The Parquet files of the prediction log, and the segments that they were made of."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "log_files",
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("batch", sa.String, nullable=False),
        sa.Column("day", sa.String, nullable=False),
        sa.Column("rows", sa.Integer, nullable=False),
        sa.Column("newest", sa.Float, nullable=False),
        sa.Column("sha256", sa.String, nullable=False),
        sa.Column("versions", sa.JSON, nullable=False),
    )
    op.create_index("log_files_by_time", "log_files", ["model", "kind", "newest"])
    op.create_index("log_files_by_batch", "log_files", ["batch"])
    op.create_table(
        "log_segments",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("server", sa.String, primary_key=True),
        sa.Column("numbers", sa.JSON, nullable=False),
    )
