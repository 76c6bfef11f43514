"""The tables of the state, as the newest revision leaves them."""

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
    Index("ledger_by_version", "model", "version"),
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
    Column("published", Boolean, nullable=False),
    Index(
        "plans_unpublished",
        "model",
        sqlite_where=text("NOT published"),
        postgresql_where=text("NOT published"),
    ),
)

# The last entry of a ledger after which the registry's aliases were set.
alias_syncs = Table(
    "alias_syncs",
    metadata,
    Column("model", String, primary_key=True),
    Column("seq", Integer, nullable=False),
)

# Which table a run made of a stage; the run is CURRENT or NEWEST for the one that runs
# read which made none. Moments (`made`, `accepted`) are Unix seconds.
CURRENT, NEWEST = "current", "newest"
table_pointers = Table(
    "table_pointers",
    metadata,
    Column("model", String, primary_key=True),
    Column("stage", String, primary_key=True),
    Column("run", String, primary_key=True),
    Column("data_version", String, nullable=False),
    Column("made_of", String),
    Column("made", Float, nullable=False),
    Index("table_pointers_by_table", "model", "stage", "data_version"),
    Index("table_pointers_by_origin", "model", "made_of"),
)

# Small values, as JSON, that the steps of one asset hand to each other.
step_values = Table(
    "step_values",
    metadata,
    Column("model", String, primary_key=True),
    Column("run", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
    Column("made", Float, nullable=False),
)

# The last validation of each raw table; `report` names the object with its findings.
validations = Table(
    "validations",
    metadata,
    Column("model", String, primary_key=True),
    Column("data_version", String, primary_key=True),
    Column("report", String, nullable=False),
    Column("passed", Boolean, nullable=False),
)

# What the last accepted raw data looked like.
contracts = Table(
    "contracts",
    metadata,
    Column("model", String, primary_key=True),
    Column("contract", Text, nullable=False),
    Column("accepted", Float, nullable=False),
)

# Data that broke the contract and waits to be accepted.
blocked_contracts = Table(
    "blocked_contracts",
    metadata,
    Column("model", String, primary_key=True),
    Column("data_version", String, nullable=False),
    Column("since", String, nullable=False),
    Column("moved", JSON, nullable=False),
    Column("contract", Text, nullable=False),
)

# What the first training on a target fixed for all later ones.
first_trainings = Table(
    "first_trainings",
    metadata,
    Column("model", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("target", String, nullable=False),
    Column("fixed", JSON, nullable=False),
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

# What was seen in the registry of images, under the digest of the code location's.
releases = Table(
    "releases",
    metadata,
    Column("digest", String, primary_key=True),
    Column("release", Text, nullable=False),
)

# The tags that are polled, and what they pointed at in the last poll.
release_tags = Table(
    "release_tags",
    metadata,
    Column("name", String, primary_key=True),
    Column("digest", String, nullable=False),
)

# Attempts to change an environment. `failure` is written before one is reverted;
# `entry` is the number of the ledger entry that ended it.
delivery_attempts = Table(
    "delivery_attempts",
    metadata,
    Column("environment", String, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("attempt", Text, nullable=False),
    Column("failure", Text),
    Column("entry", Integer),
)

# What was sent, or may have been; a row is there before anything is sent.
notifications = Table(
    "notifications",
    metadata,
    Column("key", String, primary_key=True),
    Column("claimed_at", Float, nullable=False, index=True),
)

# Attempts to send, by the kind of the notification and the result.
notification_counts = Table(
    "notification_counts",
    metadata,
    Column("kind", String, primary_key=True),
    Column("result", String, primary_key=True),
    Column("number", Integer, nullable=False),
)
