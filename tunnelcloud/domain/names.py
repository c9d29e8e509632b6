"""Names and addresses: their allowed forms, the login grammar, destination matching.

One parser reads each kind of name, whatever bytes a stranger sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from attrs import frozen

from tunnelcloud.domain.addresses import is_address, read_address
from tunnelcloud.domain.entities import ID, Grant, Method, UserView
from tunnelcloud.domain.name_comparison import folded, is_unmistakable
from tunnelcloud.domain.objects.sites import PortRange, Tunnel

RESERVED_USER_NAME = "tcptunnel"
SYSTEM_NAME = "system"
"""The actor in the audit if nobody asked for an action: no user can have this name."""
LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

_NAME = re.compile(r"[a-z0-9-]{1,63}")
_USER_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_LONGEST_HOST = 253
_MAX_LOGIN_NAME = 320


class BadName(ValueError):
    """An invalid name, address or port; the message says what is allowed."""


def is_name(text: str) -> bool:
    """Tell whether a site, connector, tunnel, group or policy can have this name."""
    return _NAME.fullmatch(text) is not None


def read_name(text: str) -> str:
    """Check the name of a site, connector, tunnel, group or policy.

    :raise BadName: with what is allowed.
    """
    if not is_name(text):
        raise BadName("use 1 to 63 characters: a-z, 0-9 and -; free text goes into the title")
    return text


def read_user_name(text: str) -> str:
    """Check a user's name and put it into lower case.

    :raise BadName: with what is allowed.
    """
    name = folded(text)
    if name == SYSTEM_NAME:
        raise BadName(f"{SYSTEM_NAME} is reserved: it is what acts by itself in the audit")
    if name == RESERVED_USER_NAME:
        raise BadName(f"{RESERVED_USER_NAME} is reserved: it is the login that names no user")
    if not _USER_NAME.fullmatch(name):
        raise BadName("use 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or a digit")
    if ID.fullmatch(name):
        raise BadName("it looks like an id, by which somebody else may be meant: use another name")
    return name


def read_email(text: str) -> str:
    """Check an e-mail address and put it into lower case.

    :raise BadName: with what is allowed.
    """
    email = folded(text)
    if len(email) > 254 or not _EMAIL.fullmatch(email) or ".." in email:
        raise BadName("use an address such as alice@example.com")
    if not is_unmistakable(email):
        raise BadName("it has characters that look like others, or like nothing: type it anew")
    if email.partition("@")[0] == RESERVED_USER_NAME:
        raise BadName(f"{RESERVED_USER_NAME}@ is reserved: it is the login that names a tunnel")
    return email


def read_host(text: str) -> str:
    """Check a DNS name or an address and give its canonical form.

    Names lose case and a trailing dot, and letters beyond ASCII become A-labels; IPv6 is
    compressed, without brackets or zone.

    :raise BadName: with what is allowed.
    """
    host = canonical_host(text)
    if "%" in host:
        raise BadName("an address with a zone means something else on every machine: leave it out")
    if is_address(host):
        return host
    labels = host.split(".")
    numeric = re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)", labels[-1])
    if len(host) > _LONGEST_HOST or numeric or not all(map(_HOST_LABEL.fullmatch, labels)):
        more = "" if host.isascii() else "; this name has characters that no DNS name may have"
        raise BadName(f"use a DNS name such as db.internal, an IPv4 or an IPv6 address{more}")
    return host


def read_external_address(text: str) -> str:
    """Check an external address: a host name, never an IP address.

    :raise BadName: with what is allowed.
    """
    wrong = BadName("use a host name that resolves to the pods, such as db.example.com")
    try:
        host = read_host(text)
    except BadName:
        raise wrong from None
    if is_address(host) or host in LOCAL_NAMES:
        raise wrong
    return host


def canonical_host(text: str) -> str:
    """Return the form of a host name or address in which hosts are compared."""
    host = folded(_with_a_labels(text.strip()))
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if len(host) > 1:
        host = host.removesuffix(".")
    address = read_address(host)
    return host if address is None else str(address)


def _with_a_labels(host: str) -> str:
    """Give a name with letters beyond ASCII as DNS has it (RFC 5891); any other text as it is."""
    if host.isascii() or len(host) > _LONGEST_HOST:
        return host
    import idna  # its tables are large, and few names need them

    try:
        labels = idna.uts46_remap(host, std3_rules=False).split(".")
        return ".".join(
            label if label.isascii() else idna.alabel(label).decode("ascii") for label in labels
        )
    except idna.IDNAError:
        return host


def parse_ports(text: str) -> PortRange:
    """Read ``5432`` or ``8000-8010``.

    :raise BadName: when a port is out of range or the range is upside down.
    """
    match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", text.strip(), re.ASCII)
    if match is None:
        raise BadName(f"{text[:60]!r} is not a port: write 5432, or 8000-8010 for a range")
    first = int(match[1])
    last = int(match[2] or first)
    for port in (first, last):
        if not 1 <= port <= 65535:
            raise BadName(f"port {port} is out of range: use 1 to 65535")
    if last < first:
        raise BadName(f"{text} is upside down: write {last}-{first}")
    return PortRange(first, last)


def merge_ports(ranges: Iterable[PortRange]) -> tuple[PortRange, ...]:
    """Sort port ranges and join those that overlap or touch."""
    merged: list[PortRange] = []
    for ports in sorted(ranges):
        if merged and ports.first <= merged[-1].last + 1:
            merged[-1] = PortRange(merged[-1].first, max(merged[-1].last, ports.last))
        else:
            merged.append(ports)
    return tuple(merged)


def ports_text(ranges: Sequence[PortRange]) -> str:
    """Write port ranges for people: ``5432, 8000-8010``."""
    return ", ".join(map(str, ranges))


@frozen
class Login:
    """The contents of an SSH login name, before any credential was seen.

    ``user`` is a user's name or e-mail, or None where the credential names the user;
    ``tunnel`` is the X of ``tcptunnel@X``.
    """

    user: str | None
    tunnel: str | None = None


_AROUND = " \t\r\n\ufeff\u00a0\u200b\u2060"
"""Characters that mails and chats put around a copied name."""


def parse_login(raw: bytes) -> Login | None:
    """Read an SSH login name (product.md's grammar).

    :return: None for bytes that no login can have; to the client that is a user who doesn't exist.
    """
    if not raw or len(raw) > _MAX_LOGIN_NAME:
        return None
    try:
        text = raw.decode("utf-8").strip(_AROUND)
        text = folded(text)
    except UnicodeDecodeError:
        return None
    if not text.isprintable() or text.split() != [text]:
        return None
    if text == RESERVED_USER_NAME:
        return Login(user=None)
    local, at, rest = text.partition("@")
    if at and local == RESERVED_USER_NAME:
        return Login(user=None, tunnel=canonical_host(rest)) if rest else None
    return Login(user=text)


def named_by(view: UserView, method: Method, name: str, only: str | None = None) -> list[Tunnel]:
    """Find the tunnels that X of ``tcptunnel@X`` means to a user.

    An external address goes before a name, and a name before the first label of an external
    address.

    :param method: what the tunnel is to be opened with.
    :param only: the id of the one tunnel that the credential opens.
    :return: the tunnels that fit best: one, none, or several that share a label.
    """
    best: dict[int, dict[str, Tunnel]] = {}
    for grant in usable(view, method, only):
        rank = _name_rank(grant.tunnel, name)
        if rank is not None:
            best.setdefault(rank, {})[grant.tunnel.id] = grant.tunnel
    return list(best[min(best)].values()) if best else []


def is_called(tunnel: Tunnel, name: str) -> bool:
    """Tell whether X of ``tcptunnel@X`` may mean a tunnel."""
    return _name_rank(tunnel, name) is not None


def _name_rank(tunnel: Tunnel, name: str) -> int | None:
    if name == tunnel.external_address:
        return 0
    if name == tunnel.name:
        return 1
    external = tunnel.external_address or ""
    return 2 if name == external.partition(".")[0] else None


def usable(view: UserView, method: Method, only: str | None) -> Sequence[Grant]:
    """List the grants of enabled tunnels that a session may use.

    :param only: the id of the one tunnel that the session's scope leaves; None for all.
    """
    if only is None:
        return view.by_method.get(method, ())
    theirs = view.by_tunnel.get(only, ())
    return [one for one in theirs if one.tunnel.enabled and method in one.methods]


@frozen
class Match:
    """The tunnels that a destination means to one user.

    :ivar grants: all paths to the one tunnel that may be opened.
    :ivar near: when there are none, those that the host named, where the port or method didn't fit.
    :ivar rivals: the names of tunnels that fit equally well.
    """

    grants: tuple[Grant, ...] = ()
    near: tuple[Grant, ...] = ()
    rivals: tuple[str, ...] = ()


def match_destination(
    view: UserView, host: str, port: int, method: Method, only: str | None = None
) -> Match:
    """Find the tunnel that a destination means (product.md, "SSH front door").

    :param only: the id of the one tunnel that the session's scope leaves; local names mean it.
    """
    # Keys of the index are in canonical form already.
    wanted = host if host in view.by_host else canonical_host(host)
    ranked = _ranked(view, wanted, only)
    fitting = [
        (rank, grant)
        for rank, grant in ranked
        if grant.tunnel.enabled and grant.tunnel.publishes(port) and method in grant.methods
    ]
    if not fitting:
        ranked.sort(key=lambda pair: (not pair[1].tunnel.publishes(port), pair[0]))
        return Match(near=tuple(grant for _, grant in ranked))
    best = min(rank for rank, _ in fitting)
    chosen = [grant for rank, grant in fitting if rank == best]
    names = sorted({grant.tunnel.name for grant in chosen})
    if len(names) > 1:
        return Match(rivals=tuple(names))
    return Match(grants=tuple(chosen))


def _ranked(view: UserView, host: str, only: str | None) -> list[tuple[int, Grant]]:
    """Return the grants that a host names, each with its rank: 0 is best."""
    if only is None:
        named = view.by_host.get(host, ())
    else:
        named = view.by_tunnel.get(only, ())
        if host in LOCAL_NAMES:
            return [(0, grant) for grant in named]
    return [
        (hosts.index(host), grant)
        for grant, hosts in ((grant, _ranks(grant.tunnel)) for grant in named)
        if host in hosts
    ]


def _ranks(tunnel: Tunnel) -> tuple[str | None, ...]:
    return (tunnel.external_address, tunnel.name, tunnel.target_address)
