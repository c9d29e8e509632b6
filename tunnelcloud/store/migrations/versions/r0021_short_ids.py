"""SQLite keeps an id as its 16 bytes; PostgreSQL stays as it is."""

import re
from functools import lru_cache
from typing import Any

from alembic import op
from sqlalchemy import Connection

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_HISTORY = {
    "audit": {
        "id": "evt",
        "actor_id": "usr",
        "user_id": "usr",
        "tunnel_id": "tun",
        "session_id": "ses",
        "pod_id": "pod",
    },
    "channels": {
        "id": "chn",
        "session_id": "ses",
        "user_id": "usr",
        "tunnel_id": "tun",
        "pod_id": "pod",
        "connector_id": "con",
    },
    "sessions": {
        "id": "ses",
        "user_id": "usr",
        "pod_id": "pod",
        "tunnel_id": "tun",
        "token_id": "tok",
        "key_id": "key",
    },
}

_ABOUT = {"user_id": "usr", "tunnel_id": "tun", "policy_id": "pol"}
_OBJECTS = {
    "api_tokens": {"id": "api", "user_id": "usr", "made_by_id": "usr"},
    "approval_requests": {
        "id": "req",
        **_ABOUT,
        "session_id": "ses",
        "decided_by_id": "usr",
        "renews_id": "gra",
    },
    "assignments": {"id": "asg", **_ABOUT, "group_id": "grp"},
    "attachments": {"pod_id": "pod", "connector_id": "con"},
    "connector_certificates": {"connector_id": "con"},
    "connectors": {"id": "con", "site_id": "sit"},
    "device_logins": {"user_id": "usr"},
    "group_members": {"group_id": "grp", "user_id": "usr"},
    "groups": {"id": "grp"},
    "identities": {"provider_id": "idp", "user_id": "usr"},
    "identity_providers": {"id": "idp"},
    "invitations": {"id": "inv", "user_id": "usr", "made_by_id": "usr"},
    "join_tokens": {"connector_id": "con"},
    "keys": {"id": "key", "user_id": "usr"},
    "notices": {"pod_id": "pod"},
    "pins": {"user_id": "usr", "tunnel_id": "tun"},
    "pods": {"id": "pod"},
    "policies": {"id": "pol", "approvers_id": "grp"},
    "probes": {"pod_id": "pod"},
    "recovery_codes": {"user_id": "usr"},
    "saved_searches": {"user_id": "usr"},
    "second_factors": {"user_id": "usr"},
    "sign_in_steps": {"user_id": "usr", "provider_id": "idp"},
    "sites": {"id": "sit"},
    "timed_grants": {
        "id": "gra",
        **_ABOUT,
        "request_id": "req",
        "allowed_by_id": "usr",
        "reviewed_by_id": "usr",
    },
    "tokens": {"id": "tok", "user_id": "usr", "tunnel_id": "tun"},
    "tunnels": {"id": "tun", "site_id": "sit"},
    "user_names": {"user_id": "usr"},
    "users": {"id": "usr"},
    "web_sessions": {"id": "web", "user_id": "usr", "provider_id": "idp"},
}

_DIGITS = re.compile(r"[0-9a-v]{25}[048cgkos]")


def upgrade() -> None:
    """Apply it."""
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return
    driver: Any = connection.connection.driver_connection
    driver.create_function("short_id", 2, _short, deterministic=True)
    # Rows refer to each other: meanwhile to ids of either form.
    op.execute("PRAGMA defer_foreign_keys = ON")
    for table, columns in _OBJECTS.items():
        _run("UPDATE {} SET {}", table, ", ".join(map(_assignment, columns.items())))
    for table, columns in _HISTORY.items():
        _write_anew(connection, table, columns)


def _run(statement: str, *parts: str) -> None:
    """Run a statement, made of names that this module and the tables say."""
    op.execute(statement.format(*parts))


@lru_cache(1 << 16)
def _short(prefix: str, value: str | None) -> bytes | str | None:
    if value is None or value[:4] != f"{prefix}_" or not _DIGITS.fullmatch(value, 4):
        return value
    return (int(value[4:], 32) >> 2).to_bytes(16)


def _assignment(column: tuple[str, str]) -> str:
    name, prefix = column
    return f"{name} = short_id('{prefix}', {name})"


def _write_anew(connection: Connection, table: str, columns: dict[str, str]) -> None:
    """Copy a table and make its indexes then, sooner than each row is changed in each of them.

    SQLite prefers the later of two indexes that serve alike, so their order stays.
    """
    made = connection.exec_driver_sql(
        "SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)
    ).scalar_one()
    indexes = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? "
        "AND sql IS NOT NULL ORDER BY rowid",
        (table,),
    ).all()
    for name, _ in indexes:
        op.execute(f"DROP INDEX {name}")
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
    op.execute(made)
    names = [row[1] for row in connection.exec_driver_sql(f"PRAGMA table_info({table})")]
    kept = [f"short_id('{columns[one]}', {one})" if one in columns else one for one in names]
    _run(
        "INSERT INTO {0} ({1}) SELECT {2} FROM {0}_before", table, ", ".join(names), ", ".join(kept)
    )
    op.execute(f"DROP TABLE {table}_before")
    for _, sql in indexes:
        op.execute(sql)
