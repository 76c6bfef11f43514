"""The tables of the state, as the newest revision leaves them."""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
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

# The Parquet files of the prediction log; one that is not named here does not count.
log_files = Table(
    "log_files",
    metadata,
    Column("name", String, primary_key=True),
    Column("model", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("batch", String, nullable=False),
    Column("day", String, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("newest", Float, nullable=False),
    Column("sha256", String, nullable=False),
    Column("versions", JSON, nullable=False),
    Index("log_files_by_time", "model", "kind", "newest"),
    Index("log_files_by_batch", "batch"),
)

# Segments whose content is in a file: of each server, ranges of numbers.
log_segments = Table(
    "log_segments",
    metadata,
    Column("model", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("server", String, primary_key=True),
    Column("numbers", JSON, nullable=False),
)
