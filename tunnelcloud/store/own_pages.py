"""Reads users' own pages: their account, their refusals, and the tunnels of their open channels."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from attrs import frozen

from tunnelcloud.domain.entities import Channel
from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.store import (
    audit,
    channels,
    second_factors,
    sessions,
    user_views,
    users,
    web_sessions,
)
from tunnelcloud.store.transaction import Transaction

_MOST_SIGN_INS = 100
_REFUSALS = ("login.refused", "channel.refused")
_MOST_REFUSALS = 25
_MOST_CHANNELS = 500
_MOST_SESSIONS = 20


@frozen
class OwnAccount:
    """A user's account.

    :ivar sign_ins: those that aren't over, the latest first.
    :ivar now: when this was read.
    """

    sign_ins: Sequence[web_sessions.WebSession]
    has_password: bool
    second_factor: bool
    recovery_codes_left: int
    now: datetime


def read_own_account(transaction: Transaction, user_id: str) -> OwnAccount:
    """Read a user's account."""
    now = transaction.now()
    page = web_sessions.list_page(
        transaction, user_id=user_id, sort="-created_at", limit=_MOST_SIGN_INS
    )
    return OwnAccount(
        [one for one in page.items if one.expires_at > now],
        users.password_hash(transaction, user_id) is not None,
        second_factors.is_confirmed(transaction, user_id),
        second_factors.recovery_codes_left(transaction, user_id),
        now,
    )


@frozen
class OwnActivity:
    """A user's activity besides their sessions.

    :ivar refusals: the latest logins and channels that were refused, the latest first.
    :ivar clients: the version texts of their sessions' clients, by the sessions' ids.
    :ivar open_in: the names of the tunnels that a session has channels to, by its id.
    """

    refusals: Sequence[AuditRecord]
    clients: Mapping[str, str]
    open_in: Mapping[str, list[str]]


def read_own_activity(transaction: Transaction, user_id: str) -> OwnActivity:
    """Read what was refused to a user lately, and where their open channels lead."""
    found = [
        record
        for event in _REFUSALS
        for record in audit.list_page(
            transaction, event=event, user_id=user_id, limit=_MOST_REFUSALS
        ).items
    ]
    found = sorted(found, key=lambda record: record.id, reverse=True)[:_MOST_REFUSALS]
    ids = {record.event.session_id for record in found if record.event.session_id}
    clients = sessions.client_versions(transaction, ids)
    live = channels.list_page(transaction, user_id=user_id, live=True, limit=_MOST_CHANNELS).items
    return OwnActivity(found, clients, _open_in(transaction, live))


@frozen
class Connected:
    """Where a user is connected from, and by how many channels to one tunnel."""

    source_ip: str
    channels: int


def read_connected(transaction: Transaction, user_id: str, tunnel_id: str) -> list[Connected]:
    """Read from where a user's open sessions of a tunnel come, on whichever pod, the first first.

    A session that has no channel yet counts if its token is for this tunnel.
    """
    found = sessions.list_page(
        transaction, user_id=user_id, tunnel_id=tunnel_id, live=True, limit=_MOST_SESSIONS
    ).items
    live = channels.list_page(
        transaction, user_id=user_id, tunnel_id=tunnel_id, live=True, limit=_MOST_CHANNELS
    ).items
    open_in = Counter(channel.session_id for channel in live)
    by_address: Counter[str] = Counter()
    for session in found:
        by_address[session.source_ip] += open_in[session.id]
    return [Connected(address, count) for address, count in by_address.items()]


def _open_in(transaction: Transaction, live: Iterable[Channel]) -> dict[str, list[str]]:
    names = user_views.names_of(transaction, "tunnel", {one.tunnel_id for one in live})
    found: dict[str, set[str]] = defaultdict(set)
    for channel in live:
        found[channel.session_id].add(names.get(channel.tunnel_id, channel.destination))
    return {session_id: sorted(tunnels) for session_id, tunnels in found.items()}
