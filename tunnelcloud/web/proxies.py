"""Finds the client of a request that comes through proxies, as trusted proxies tell it.

Each proxy appends the address that it saw, to X-Forwarded-For or to Forwarded (RFC 7239); what
came before the last one that isn't trusted may be anybody's invention.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from attrs import define, field
from twisted.logger import Logger

from tunnelcloud.domain.addresses import (
    Network,
    canonical_address,
    is_address,
    is_within,
    read_address,
)

_log = Logger()
_WITH_PORT = re.compile(r"\[([0-9a-fA-F:.]{2,45})\](?::\d{1,5})?|([0-9.]{7,15}):\d{1,5}")
MOST_HOPS = 32
"""How many addresses of a header are looked at, the last ones: each proxy on the way adds one."""

_MOST_PAIRS = 16
"""How many pairs one element of ``Forwarded`` may have: four are known."""

_FORWARDED_FOR = re.compile(r"\s*for\s*=\s*(.*)", re.IGNORECASE)


def client_host(
    peer: str,
    forwarded_for: Sequence[str],
    trusted: Iterable[Network],
    forwarded: Sequence[str] = (),
) -> str:
    """Return the address of a request's client.

    A proxy writes one of the headers and passes the other on as the client sent it: when both are
    there and name different clients, neither is believed.

    :param peer: the address that the connection comes from.
    :param forwarded_for: the values of ``X-Forwarded-For``, in the order of their headers.
    :param forwarded: the values of ``Forwarded``, likewise.
    """
    peer, proxies = canonical_address(peer), tuple(trusted)
    hops = _last_elements(forwarded_for)
    found = {_beyond(peer, told, proxies) for told in (hops, _forwarded_hops(forwarded)) if told}
    return found.pop() if len(found) == 1 else peer


def _beyond(peer: str, hops: Sequence[str], proxies: Sequence[Network]) -> str:
    host = peer
    for told in reversed(hops):
        if not is_within(host, proxies):
            break
        address = _read_address(told)
        if address is None:
            break
        host = address
    return host


def _forwarded_hops(values: Iterable[str]) -> list[str]:
    """Give what each element of ``Forwarded`` says of ``for``; empty for one that says nothing."""
    hops = []
    for element in _last_elements(values):
        pairs = element.split(";", _MOST_PAIRS)
        found = [match[1] for pair in pairs if (match := _FORWARDED_FOR.match(pair))]
        known = len(found) == 1 and len(pairs) <= _MOST_PAIRS
        hops.append(found[0].strip().strip('"') if known else "")
    return hops


def _last_elements(values: Iterable[str]) -> list[str]:
    """Give what the last proxies added to a header, which may be there several times."""
    joined = ",".join(values)
    return joined.rsplit(",", MOST_HOPS)[-MOST_HOPS:] if joined else []


def _read_address(told: str) -> str | None:
    """Read an address that may have brackets around it and a port behind it; its zone is of no
    use here, and may be any text."""
    told = told.strip()
    match = _WITH_PORT.fullmatch(told)
    host = (match[1] or match[2]) if match else told
    return canonical_address(host) if is_address(host) else None


_MOST_SIGHTED = 20


@define
class ProxySightings:
    """Addresses that sent clients' addresses without being trusted: usually proxies.

    Whatever client is behind such a proxy counts as the proxy: all of them share one source.
    """

    _counts: Counter[str] = field(factory=Counter)

    def note(self, host: str) -> None:
        """Count one request, and log the first of an address."""
        if host in self._counts:
            self._counts[host] += 1
        elif len(self._counts) < _MOST_SIGHTED:
            self._counts[host] = 1
            _log.warn("{text}", text=_advice(host))

    def forget(self) -> None:
        """Start again, after the list of trusted proxies has changed."""
        self._counts.clear()

    def warning(self) -> str | None:
        """Say what is probably wrong; None for nothing.

        Proxies have private addresses, as a rule; anybody can send such a header from elsewhere.
        """
        near = [host for host, _ in self._counts.most_common() if _is_private(host)]
        return _advice(near[0]) if near else None

    def outline(self) -> str | None:
        """Say for anybody that something is wrong, without the proxy's address."""
        if self.warning() is None:
            return None
        return (
            "requests come through a proxy that is not in [web] trusted_proxies: the log and the "
            "Settings page name it"
        )


def _is_private(host: str) -> bool:
    address = read_address(host)
    return address is not None and address.is_private


def _advice(host: str) -> str:
    return (
        f"requests from {host} name other clients' addresses, but {host} is not in [web] "
        "trusted_proxies: all clients behind it count as one. If it is your proxy, set "
        f'trusted_proxies = ["{host}"] and reload (SIGHUP).'
    )
