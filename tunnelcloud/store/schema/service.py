"""What pods know of each other, and must share to be one service."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Integer, LargeBinary, Table, Text

from tunnelcloud.store.column_types import Document, ObjectId, Ordered, Timestamp
from tunnelcloud.store.schema.common_columns import metadata, own_id, owner

pods = Table(
    "pods",
    metadata,
    own_id("pod"),
    Column("name", Ordered, nullable=False, unique=True),
    Column("version", Text, nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("last_seen_at", Timestamp, nullable=False),
    Column("ssh_address", Text, nullable=False),
    Column("connectors_address", Text, nullable=False),
    Column("draining", Boolean, nullable=False),
    # Set when the pod stopped in order: from then on it counts as gone, until it starts again.
    Column("stopped_at", Timestamp),
    # Of the process that has the name now: made anew at each start.
    Column("incarnation", Text, nullable=False, server_default=""),
    # Names the state directory: a pod that was started again has the same one as before.
    Column("home", Text, nullable=False, server_default=""),
    # Until then the name is its own; NULL by a pod of a version that had no leases.
    Column("leased_until", Timestamp),
)

# Which connectors have links to which pods.
attachments = Table(
    "attachments",
    metadata,
    owner("pod", index=False, primary_key=True),
    owner("connector", primary_key=True),
)

# What heartbeats write now and then to prove that a login could be written.
probes = Table(
    "probes",
    metadata,
    Column("pod_id", ObjectId("pod"), primary_key=True),
    Column("at", Timestamp, primary_key=True),
    Column("filler", LargeBinary, nullable=False),
)

# What pods must share to be one service: the CA, SSH host keys.
authority = Table(
    "authority",
    metadata,
    Column("name", Ordered, primary_key=True),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

# The web's certificate by ACME: account, certificate with its key, and answers are sealed.
web_certificates = Table(
    "web_certificates",
    metadata,
    Column("name", Ordered, primary_key=True),
    Column("account", LargeBinary),
    Column("content", LargeBinary),
    Column("answers", LargeBinary),
    # Who orders now; nobody else does until then.
    Column("leased_by", Text),
    Column("leased_until", Timestamp),
    Column("failures", Integer, nullable=False),
    Column("retry_at", Timestamp),
    Column("fault", Text, nullable=False),
)

# What is not well, and was told: by the pods that see it.
notices = Table(
    "notices",
    metadata,
    owner("pod", index=False, primary_key=True),
    Column("key", Ordered, primary_key=True),
    Column("since", Timestamp, nullable=False),
    # What is told when it is over.
    Column("over", Document, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("name", Ordered, primary_key=True),
    Column("value", Document, nullable=False),
)
