"""The tables of the state, as the newest revision leaves them."""

from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
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
from sqlalchemy.types import TypeEngine

metadata = MetaData()


def _key(*names: str) -> list[Column[str]]:
    return [Column(name, String, primary_key=True) for name in names]


def _required(kind: type[TypeEngine[Any]], *names: str) -> list[Column[Any]]:
    return [Column(name, kind, nullable=False) for name in names]


def _partial_index(name: str, *columns: str, where: str) -> Index:
    rows = text(where)
    return Index(name, *columns, sqlite_where=rows, postgresql_where=rows)


# One decision a row. `line` is the canonical JSON of which `hash` is made; the columns
# before it repeat what of it is searched.
ledger = Table(
    "ledger",
    metadata,
    *_key("model"),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    *_required(String, "kind", "version"),
    Column("key", String),
    *_required(Text, "line"),
    *_required(String, "hash"),
    Column("signature", String),
    UniqueConstraint("model", "key"),
    Index("ledger_by_kind", "model", "kind"),
    Index("ledger_by_version", "model", "version"),
)

# How far a ledger must reach at least, signed where there is a key.
ledger_heads = Table(
    "ledger_heads",
    metadata,
    *_key("model"),
    *_required(Integer, "seq"),
    *_required(String, "hash"),
    Column("signature", String),
)

# Every plan that was active; the highest generation of a model is.
plans = Table(
    "plans",
    metadata,
    *_key("model"),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    *_required(String, "digest"),
    *_required(Text, "plan"),
    *_required(Boolean, "published"),
    _partial_index("plans_unpublished", "model", where="NOT published"),
)

# The last entry of a ledger after which the registry's aliases were set.
alias_syncs = Table(
    "alias_syncs",
    metadata,
    *_key("model"),
    *_required(Integer, "seq"),
)

# Which table a run made of a stage; the run is CURRENT or NEWEST for the one that runs
# read which made none. Moments (`made`, `accepted`) are Unix seconds.
CURRENT, NEWEST = "current", "newest"
table_pointers = Table(
    "table_pointers",
    metadata,
    *_key("model", "stage", "run"),
    *_required(String, "data_version"),
    Column("made_of", String),
    *_required(Float, "made"),
    Index("table_pointers_by_table", "model", "stage", "data_version"),
    Index("table_pointers_by_origin", "model", "made_of"),
)

# Small values, as JSON, that the steps of one asset hand to each other.
step_values = Table(
    "step_values",
    metadata,
    *_key("model", "run", "name"),
    *_required(Text, "value"),
    *_required(Float, "made"),
)

# The last validation of each raw table; `report` names the object with its findings.
validations = Table(
    "validations",
    metadata,
    *_key("model", "data_version"),
    *_required(String, "report"),
    *_required(Boolean, "passed"),
)

# What the last accepted raw data looked like.
contracts = Table(
    "contracts",
    metadata,
    *_key("model"),
    *_required(Text, "contract"),
    *_required(Float, "accepted"),
)

# Data that broke the contract and waits to be accepted.
blocked_contracts = Table(
    "blocked_contracts",
    metadata,
    *_key("model"),
    *_required(String, "data_version", "since"),
    *_required(JSON, "moved"),
    *_required(Text, "contract"),
)

# What the first training on a target fixed for all later ones.
first_trainings = Table(
    "first_trainings",
    metadata,
    *_key("model", "kind"),
    *_required(String, "target"),
    *_required(JSON, "fixed"),
)

# Every version; one without a record was reserved, and is trained or was given up.
# `evaluation` is JSON with what the gate decided, `reserved` in Unix seconds.
_RECORDED = "record IS NOT NULL"
versions = Table(
    "versions",
    metadata,
    *_key("model", "version"),
    *_required(String, "owner"),
    *_required(Float, "reserved"),
    Column("registry_version", String),
    Column("record", Text),
    Column("evaluation", Text),
    _partial_index("versions_recorded", "model", "version", where=_RECORDED),
    Index("versions_by_owner", "model", "owner"),
    Index("versions_by_number", "model", "registry_version"),
)

# Every drift report in the storage; `made` in Unix seconds.
drift_reports = Table(
    "drift_reports",
    metadata,
    *_key("model", "report"),
    *_required(String, "source", "version"),
    *_required(Float, "made"),
    Index("drift_reports_by_time", "model", "source", "made"),
)

# The Parquet files of the prediction log; one that is not named here does not count.
log_files = Table(
    "log_files",
    metadata,
    *_key("name"),
    *_required(String, "model", "kind", "batch", "day"),
    *_required(Integer, "rows"),
    *_required(Float, "newest"),
    *_required(String, "sha256"),
    *_required(JSON, "versions"),
    Index("log_files_by_time", "model", "kind", "newest"),
    Index("log_files_by_batch", "batch"),
)

# Segments whose content is in a file: of each server, ranges of numbers.
log_segments = Table(
    "log_segments",
    metadata,
    *_key("model", "kind", "server"),
    *_required(JSON, "numbers"),
)

# What was seen in the registry of images, under the digest of the code location's.
releases = Table(
    "releases",
    metadata,
    *_key("digest"),
    *_required(Text, "release"),
)

# The tags that are polled, and what they pointed at in the last poll.
release_tags = Table(
    "release_tags",
    metadata,
    *_key("name"),
    *_required(String, "digest"),
)

# Attempts to change an environment. `failure` is written before one is reverted;
# `entry` is the number of the ledger entry that ended it.
delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    *_key("environment"),
    Column("number", Integer, primary_key=True, autoincrement=False),
    *_required(Text, "attempt"),
    Column("failure", Text),
    Column("entry", Integer),
)

# What was sent, or may have been; a row is there before anything is sent.
notifications = Table(
    "notifications",
    metadata,
    *_key("key"),
    Column("claimed_at", Float, nullable=False, index=True),
)

# Attempts to send, by the kind of the notification and the result.
notification_counts = Table(
    "notification_counts",
    metadata,
    *_key("kind", "result"),
    *_required(Integer, "number"),
)
