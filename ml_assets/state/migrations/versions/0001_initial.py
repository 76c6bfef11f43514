"""Every table of the first release with a database."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_UNPUBLISHED = sa.text("NOT published")
_RECORDED = sa.text("record IS NOT NULL")


def upgrade() -> None:
    """Create the tables and their indexes."""
    _create_decisions()
    _create_tables_and_contracts()
    _create_versions()
    _create_prediction_log()
    _create_delivery_and_notifications()


def _create_decisions() -> None:
    op.create_table(
        "ledger",
        *_key("model"),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        *_required(sa.String, "kind", "version"),
        sa.Column("key", sa.String),
        *_required(sa.Text, "line"),
        *_required(sa.String, "hash"),
        sa.Column("signature", sa.String),
        sa.UniqueConstraint("model", "key"),
    )
    op.create_index("ledger_by_kind", "ledger", ["model", "kind"])
    op.create_index("ledger_by_version", "ledger", ["model", "version"])
    op.create_table(
        "ledger_heads",
        *_key("model"),
        *_required(sa.Integer, "seq"),
        *_required(sa.String, "hash"),
        sa.Column("signature", sa.String),
    )
    op.create_table(
        "plans",
        *_key("model"),
        sa.Column("generation", sa.Integer, primary_key=True, autoincrement=False),
        *_required(sa.String, "digest"),
        *_required(sa.Text, "plan"),
        *_required(sa.Boolean, "published"),
    )
    _create_partial_index("plans_unpublished", "plans", ["model"], _UNPUBLISHED)
    op.create_table("alias_syncs", *_key("model"), *_required(sa.Integer, "seq"))


def _create_tables_and_contracts() -> None:
    op.create_table(
        "table_pointers",
        *_key("model", "stage", "run"),
        *_required(sa.String, "data_version"),
        sa.Column("made_of", sa.String),
        *_required(sa.Float, "made"),
    )
    by_table = ["model", "stage", "data_version"]
    op.create_index("table_pointers_by_table", "table_pointers", by_table)
    op.create_index("table_pointers_by_origin", "table_pointers", ["model", "made_of"])
    op.create_table(
        "step_values",
        *_key("model", "run", "name"),
        *_required(sa.Text, "value"),
        *_required(sa.Float, "made"),
    )
    op.create_table(
        "validations",
        *_key("model", "data_version"),
        *_required(sa.String, "report"),
        *_required(sa.Boolean, "passed"),
    )
    op.create_table(
        "contracts",
        *_key("model"),
        *_required(sa.Text, "contract"),
        *_required(sa.Float, "accepted"),
    )
    op.create_table(
        "blocked_contracts",
        *_key("model"),
        *_required(sa.String, "data_version", "since"),
        *_required(sa.JSON, "moved"),
        *_required(sa.Text, "contract"),
    )
    op.create_table(
        "first_trainings",
        *_key("model", "kind"),
        *_required(sa.String, "target"),
        *_required(sa.JSON, "fixed"),
    )


def _create_versions() -> None:
    op.create_table(
        "versions",
        *_key("model", "version"),
        *_required(sa.String, "owner"),
        *_required(sa.Float, "reserved"),
        sa.Column("registry_version", sa.String),
        sa.Column("record", sa.Text),
        sa.Column("evaluation", sa.Text),
    )
    recorded = ["model", "version"]
    _create_partial_index("versions_recorded", "versions", recorded, _RECORDED)
    op.create_index("versions_by_owner", "versions", ["model", "owner"])
    op.create_index("versions_by_number", "versions", ["model", "registry_version"])
    op.create_table(
        "drift_reports",
        *_key("model", "report"),
        *_required(sa.String, "source", "version"),
        *_required(sa.Float, "made"),
    )
    by_time = ["model", "source", "made"]
    op.create_index("drift_reports_by_time", "drift_reports", by_time)


def _create_prediction_log() -> None:
    op.create_table(
        "log_files",
        *_key("name"),
        *_required(sa.String, "model", "kind", "batch", "day"),
        *_required(sa.Integer, "rows"),
        *_required(sa.Float, "newest"),
        *_required(sa.String, "sha256"),
        *_required(sa.JSON, "versions"),
    )
    op.create_index("log_files_by_time", "log_files", ["model", "kind", "newest"])
    op.create_index("log_files_by_batch", "log_files", ["batch"])
    op.create_table(
        "log_segments",
        *_key("model", "kind", "server"),
        *_required(sa.JSON, "numbers"),
    )


def _create_delivery_and_notifications() -> None:
    op.create_table("releases", *_key("digest"), *_required(sa.Text, "release"))
    op.create_table("release_tags", *_key("name"), *_required(sa.String, "digest"))
    op.create_table(
        "delivery_attempts",
        *_key("environment"),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        *_required(sa.Text, "attempt"),
        sa.Column("failure", sa.Text),
        sa.Column("entry", sa.Integer),
    )
    op.create_table("notifications", *_key("key"), *_required(sa.Float, "claimed_at"))
    op.create_index("ix_notifications_claimed_at", "notifications", ["claimed_at"])
    op.create_table(
        "notification_counts",
        *_key("kind", "result"),
        *_required(sa.Integer, "number"),
    )


def _key(*names: str) -> "list[sa.Column[str]]":
    return [sa.Column(name, sa.String, primary_key=True) for name in names]


def _required(
    kind: "type[sa.types.TypeEngine[Any]]", *names: str
) -> "list[sa.Column[Any]]":
    return [sa.Column(name, kind, nullable=False) for name in names]


def _create_partial_index(
    name: str, table: str, columns: list[str], where: sa.TextClause
) -> None:
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
