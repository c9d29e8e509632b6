"""The nouns of TunnelCloud as frozen values.

Times are aware datetimes in UTC, lengths of time are seconds, ids are strings that ``new_id`` made.
A value may refer to an object that is gone, but it is valid in itself: input is validated before it
becomes one.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cached_property
from typing import TypeVar

from attrs import field, frozen

from tunnelcloud.domain.approvals import TimedGrant
from tunnelcloud.domain.objects.policies import Policy
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.domain.session_limits import Limits, session_limits

_Key = TypeVar("_Key")


class Method(enum.StrEnum):
    """What an assignment allows."""

    TOKEN = "token"  # noqa: S105  (the name of a method)
    KEY = "key"


class SessionMethod(enum.StrEnum):
    """How a session was authenticated."""

    TOKEN = "token"  # noqa: S105  (the name of a method)
    KEY = "key"
    BROWSER = "browser"

    @property
    def opens(self) -> Method:
        """Give the method by which assignments count it."""
        return Method.KEY if self is SessionMethod.KEY else Method.TOKEN


ID = re.compile(r"([a-z]{3})_[0-9a-v]{26}")
"""What all ids look like: the prefix of their kind, and what no other id has."""

ID_PREFIXES = {
    "site": "sit",
    "connector": "con",
    "tunnel": "tun",
    "user": "usr",
    "group": "grp",
    "assignment": "asg",
    "policy": "pol",
    "key": "key",
    "token": "tok",
    "session": "ses",
    "channel": "chn",
    "api_token": "api",
    "pod": "pod",
    "event": "evt",
    "invitation": "inv",
    "web_session": "web",
    "identity_provider": "idp",
    "request": "req",
    "grant": "gra",
}


def new_id(kind: str, milliseconds: int, random: Callable[[int], bytes]) -> str:
    """Make an id such as ``usr_06f2k…``: ids of one kind sort by the time they were made.

    :param kind: a key of ``ID_PREFIXES``.
    :param milliseconds: since the epoch.
    :param random: gives that many random bytes (``os.urandom``).
    :return: the prefix, ``_``, and 26 characters of base32hex in lower case: 48 bits of time, 80 of
        chance.  The underscore keeps ids apart from names.
    """
    return write_id(ID_PREFIXES[kind], milliseconds.to_bytes(6, "big") + random(10))


_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_SHIFTS = range(120, -10, -10)
_SPARE_BITS = 2
"""What the 26 digits have beyond 128 bits: the last one's are always zero."""

_WHOLE_ID = re.compile(r"[a-z]{3}_[0-9a-v]{25}[048cgkos]")


def write_id(prefix: str, raw: bytes) -> str:
    """Write an id as it is shown.

    :param prefix: a value of ``ID_PREFIXES``.
    :param raw: its 16 bytes, as :func:`read_id` gives them.
    """
    number = int.from_bytes(raw) << _SPARE_BITS
    return f"{prefix}_" + "".join([_PAIRS[number >> shift & 1023] for shift in _SHIFTS])


def read_id(text: str) -> bytes | None:
    """Read the 16 bytes of an id, which sort as its text does; None for what is no id.

    Different texts have different bytes, but for their prefixes.
    """
    if _WHOLE_ID.fullmatch(text) is None:
        return None
    return (int(text[4:], 32) >> _SPARE_BITS).to_bytes(16)


def place_of(object_id: str) -> tuple[int, int]:
    """Read the milliseconds and the random number in an id: ids sort by them."""
    return divmod(int(object_id.rpartition("_")[2], 32) >> _SPARE_BITS, 1 << 80)


@frozen
class Assignment:
    """Who (a user or a group) may open a tunnel, by which methods, under which policy."""

    id: str
    created_at: datetime
    tunnel_id: str
    methods: frozenset[Method]
    user_id: str | None = None
    group_id: str | None = None
    policy_id: str | None = None


@frozen
class Key:
    """A dedicated SSH public key of one user.

    ``public_key`` is ``type base64`` without a comment, ``fingerprint`` is ``SHA256:…``.
    """

    id: str
    title: str
    created_at: datetime
    user_id: str
    public_key: str
    fingerprint: str
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_from: str | None = None


@frozen
class Token:
    """A one-time token; the secret itself is not kept."""

    id: str
    created_at: datetime
    user_id: str
    expires_at: datetime
    tunnel_id: str | None = None
    sessions: int = 1
    sessions_used: int = 0
    used_at: datetime | None = None
    used_from: str | None = None
    revoked_at: datetime | None = None


@frozen
class ApiToken:
    """A bearer token of the API; the secret itself is not kept.

    :ivar user_id: whose it is; None for no user's.
    :ivar made_by: the name of its creator at the time; empty if unknown.
    :ivar made_by_id: the user who made it, or the API token of no user.
    """

    id: str
    title: str
    created_at: datetime
    role: Role
    user_id: str | None = None
    made_by: str = ""
    made_by_id: str | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None


@frozen
class Session:
    """One authenticated SSH connection.

    :ivar user_name: the user's name when it began.
    """

    id: str
    user_id: str
    user_name: str
    method: SessionMethod
    login_name: str
    source_ip: str
    client_version: str
    pod_id: str
    started_at: datetime
    tunnel_id: str | None = None
    token_id: str | None = None
    key_id: str | None = None
    ended_at: datetime | None = None
    end_reason: str = ""
    bytes_to_target: int = 0
    bytes_from_target: int = 0


@frozen
class Channel:
    """One forwarded TCP connection of a session."""

    id: str
    session_id: str
    tunnel_id: str
    destination: str
    port: int
    opened_at: datetime
    connector_id: str | None = None
    closed_at: datetime | None = None
    close_reason: str = ""
    bytes_to_target: int = 0
    bytes_from_target: int = 0


@frozen
class Pod:
    """A pod that registered itself, and the addresses others reach it at."""

    id: str
    name: str
    version: str
    started_at: datetime
    last_seen_at: datetime
    ssh_address: str
    connectors_address: str
    draining: bool = False
    stopped_at: datetime | None = None
    leased_until: datetime | None = None
    incarnation: str = ""
    home: str = ""


@frozen
class Settings:
    """What administrators set for all pods while these run.

    :ivar audit_retention_days: how long events are kept; None for ever.
    :ivar audit_max_mib: about how much room the events may take, in MiB; None for any.
    :ivar session_retention_days: how long past sessions and their channels are.
    :ivar target_check_seconds: how often the way to each tunnel's target is tried; None is never.
    """

    audit_retention_days: int | None = 400
    audit_max_mib: int | None = 4096
    session_retention_days: int | None = 400
    target_check_seconds: int | None = 60


@frozen
class Grant:
    """One path by which a user reaches a tunnel: an assignment, by name or through a group."""

    tunnel: Tunnel
    assignment_id: str
    methods: frozenset[Method]
    policies: tuple[Policy, ...] = ()
    group_name: str | None = None


@frozen
class UserView:
    """All data that a decision about one user needs.

    A decision looks up the grants that it concerns; it never goes through all of them.

    :ivar group_ids: the groups that the user is in.
    :ivar approved: the user's grants that are in force.
    """

    user: User
    grants: tuple[Grant, ...] = field(factory=tuple)
    group_ids: frozenset[str] = frozenset()
    approved: tuple[TimedGrant, ...] = ()

    @cached_property
    def held_ids(self) -> frozenset[str]:
        """Give the ids of all that the view is made of: user, groups, tunnels, sites, policies."""
        tunnels = [grant.tunnel for grant in self.grants]
        return self.group_ids.union(
            [self.user.id],
            (one.id for one in tunnels),
            (one.site_id for one in tunnels),
            (policy.id for grant in self.grants for policy in grant.policies),
        )

    @cached_property
    def by_host(self) -> Mapping[str, tuple[Grant, ...]]:
        """Give the grants by each host that a destination may name their tunnel by."""
        return _grouped((host, grant) for grant in self.grants for host in hosts_of(grant.tunnel))

    @cached_property
    def by_tunnel(self) -> Mapping[str, tuple[Grant, ...]]:
        """Give the grants by their tunnel's id."""
        return _grouped((grant.tunnel.id, grant) for grant in self.grants)

    @cached_property
    def by_method(self) -> Mapping[Method, tuple[Grant, ...]]:
        """Give the grants of enabled tunnels by each method that opens them."""
        return _grouped(
            (method, grant)
            for grant in self.grants
            if grant.tunnel.enabled
            for method in grant.methods
        )

    @cached_property
    def limits(self) -> Mapping[Method, Limits]:
        """Give, by each method, after how long nothing is left to a session that opens all."""
        return {
            method: session_limits(grant.policies for grant in grants)
            for method, grants in self.by_method.items()
        }


def hosts_of(tunnel: Tunnel) -> tuple[str, ...]:
    """List the hosts by which a destination names a tunnel, the strongest first, each once."""
    named = (tunnel.external_address, tunnel.name, tunnel.target_address)
    return tuple(dict.fromkeys(host for host in named if host is not None))


def _grouped(pairs: Iterator[tuple[_Key, Grant]]) -> dict[_Key, tuple[Grant, ...]]:
    found: dict[_Key, list[Grant]] = {}
    for key, grant in pairs:
        found.setdefault(key, []).append(grant)
    return {key: tuple(grants) for key, grants in found.items()}
