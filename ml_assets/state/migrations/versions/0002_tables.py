"""Which table a run made, what checks found, contracts, and what training fixed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "table_pointers",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("stage", sa.String, primary_key=True),
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("data_version", sa.String, nullable=False),
        sa.Column("made_of", sa.String),
        sa.Column("made", sa.Float, nullable=False),
    )
    op.create_index(
        "table_pointers_by_table", "table_pointers", ["model", "stage", "data_version"]
    )
    op.create_index("table_pointers_by_origin", "table_pointers", ["model", "made_of"])
    op.create_table(
        "step_values",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("made", sa.Float, nullable=False),
    )
    op.create_table(
        "validations",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("data_version", sa.String, primary_key=True),
        sa.Column("report", sa.String, nullable=False),
        sa.Column("passed", sa.Boolean, nullable=False),
    )
    op.create_table(
        "contracts",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("contract", sa.Text, nullable=False),
        sa.Column("accepted", sa.Float, nullable=False),
    )
    op.create_table(
        "blocked_contracts",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("data_version", sa.String, nullable=False),
        sa.Column("since", sa.String, nullable=False),
        sa.Column("moved", sa.JSON, nullable=False),
        sa.Column("contract", sa.Text, nullable=False),
    )
    op.create_table(
        "first_trainings",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("fixed", sa.JSON, nullable=False),
    )
