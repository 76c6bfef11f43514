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
)

# The last entry of a ledger after which the registry's aliases were set.
alias_syncs = Table(
    "alias_syncs",
    metadata,
    Column("model", String, primary_key=True),
    Column("seq", Integer, nullable=False),
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
