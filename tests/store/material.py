"""What tests of the store need of objects: a small world, made in one transaction."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from attrs import define, frozen
from sqlalchemy import Connection, func, select

from tunnelcloud.domain.entities import Assignment, Method
from tunnelcloud.domain.objects.sites import PortRange, Site, Tunnel
from tunnelcloud.domain.objects.users import Group, User
from tunnelcloud.store import assignments, audit, groups, schema, sites, tunnels, users
from tunnelcloud.store.column_types import to_milliseconds
from tunnelcloud.store.sessions import LoginRecord
from tunnelcloud.store.transaction import Transaction

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
BOTH = frozenset({Method.TOKEN, Method.KEY})


@define
class MovingClock:
    """The database's clock, moved by the test."""

    moment: datetime = START

    def __call__(self, connection: Connection) -> int:
        return to_milliseconds(self.moment)

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


@frozen
class World:
    """Alice, in the group dba, may open db in paris."""

    site: Site
    tunnel: Tunnel
    alice: User
    bob: User
    dba: Group
    assignment: Assignment


def make_world(transaction: Transaction) -> World:
    site = sites.create(transaction, name="paris")
    tunnel = make_tunnel(transaction, site.id, "db")
    alice = users.create(transaction, name="alice", email="alice@example.com")
    bob = users.create(transaction, name="bob")
    dba = groups.create(transaction, name="dba")
    groups.add_member(transaction, dba.id, alice.id)
    assignment = assignments.create(transaction, tunnel_id=tunnel.id, methods=BOTH, group_id=dba.id)
    return World(site, tunnel, alice, bob, dba, assignment)


def make_tunnel(transaction: Transaction, site_id: str, name: str) -> Tunnel:
    return tunnels.create(
        transaction,
        name=name,
        site_id=site_id,
        target_address="10.0.0.5",
        target_ports=(PortRange(5432, 5432), PortRange(8000, 8010)),
    )


def public_key(seed: str) -> tuple[str, bytes]:
    """Make what looks like an ed25519 key: its text and its blob."""
    blob = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20" + hashlib.sha256(seed.encode()).digest()
    return f"ssh-ed25519 {base64.b64encode(blob).decode()}", blob


def login(source_ip: str = "192.0.2.1", pod_id: str = "pod_1") -> LoginRecord:
    return LoginRecord("alice", source_ip, "OpenSSH_9.2", pod_id)


def events_of(transaction: Transaction) -> list[str]:
    """Name the audited events, in their order."""
    return [one.event.event for one in audit.list_page(transaction, sort="created_at").items]


def count_events(transaction: Transaction, event: str | None = None) -> int:
    """Count the audit's rows, of one kind or of all."""
    query = select(func.count()).select_from(schema.audit)
    if event is not None:
        query = query.where(schema.audit.c.event == event)
    return transaction.connection.execute(query).scalar_one()
