"""The tables of the state, as the newest revision leaves them."""

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()

# One decision a row. `line` is the canonical JSON of which `hash` is made; the columns
# before it repeat what of it is searched.
ledger = Table(
    "ledger",
    metadata,
    Column("model", String, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("kind", String, nullable=False),
    Column("version", String, nullable=False),
    Column("key", String),
    Column("line", Text, nullable=False),
    Column("hash", String, nullable=False),
    Column("signature", String),
    UniqueConstraint("model", "key"),
    Index("ledger_by_kind", "model", "kind"),
)

# How far a ledger must reach at least, signed where there is a key.
ledger_heads = Table(
    "ledger_heads",
    metadata,
    Column("model", String, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("hash", String, nullable=False),
    Column("signature", String),
)

# Every plan that was active; the highest generation of a model is.
plans = Table(
    "plans",
    metadata,
    Column("model", String, primary_key=True),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("digest", String, nullable=False),
    Column("plan", Text, nullable=False),
)

# The last entry of a ledger after which the registry's aliases were set.
alias_syncs = Table(
    "alias_syncs",
    metadata,
    Column("model", String, primary_key=True),
    Column("seq", Integer, nullable=False),
)

# Every version; one without a record was reserved, and is trained or was given up.
# `evaluation` is JSON with what the gate decided, `reserved` in Unix seconds.
_IS_RECORDED = text("record IS NOT NULL")
versions = Table(
    "versions",
    metadata,
    Column("model", String, primary_key=True),
    Column("version", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("reserved", Float, nullable=False),
    Column("registry_version", String),
    Column("record", Text),
    Column("evaluation", Text),
    Index(
        "versions_recorded",
        "model",
        "version",
        sqlite_where=_IS_RECORDED,
        postgresql_where=_IS_RECORDED,
    ),
    Index("versions_by_owner", "model", "owner"),
    Index("versions_by_number", "model", "registry_version"),
)

# Every drift report in the storage; `made` in Unix seconds.
drift_reports = Table(
    "drift_reports",
    metadata,
    Column("model", String, primary_key=True),
    Column("report", String, primary_key=True),
    Column("source", String, nullable=False),
    Column("version", String, nullable=False),
    Column("made", Float, nullable=False),
    Index("drift_reports_by_time", "model", "source", "made"),
)
