"""Whether a host name leads clients to a pod, by the system's resolver and within a short time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.python.failure import Failure

from tunnelcloud.domain.addresses import Address, is_address
from tunnelcloud.domain.dial_failures import DialError, DialFailure
from tunnelcloud.domain.names import canonical_host
from tunnelcloud.net.interfaces import ILookUpReactor, IResolver
from tunnelcloud.net.resolver import ThreadedResolver

Found = frozenset[str] | None
"""Addresses, empty if there are none; None if the resolver can't tell now."""


class DNSCheck:
    """Tells where names lead.

    :param resolver: gives a name's addresses.
    :param pods: gives the hosts at which clients reach the pods.
    """

    def __init__(self, resolver: IResolver, pods: Callable[[], Sequence[str]]) -> None:
        self._resolver = resolver
        self._pods = pods

    @classmethod
    def by_system(cls, reactor: ILookUpReactor, pods: Callable[[], Sequence[str]]) -> DNSCheck:
        """Ask the system's resolver, a few names at once and each for a short while."""
        return cls(ThreadedResolver(reactor, timeout=2, most=8, keep=0), pods)

    def warning(self, name: str) -> Deferred[str | None]:
        """Say why clients that connect to a name would not reach a pod.

        :return: fires with None if they would, or if the resolver can't tell now.
        """
        hosts = list(dict.fromkeys(self._pods()))
        asked = gatherResults([self.addresses(host) for host in (name, *hosts)])
        return asked.addCallback(self._compare, name, hosts)

    def addresses(self, host: str) -> Deferred[Found]:
        """Give the addresses of a host; never fails."""
        if is_address(host):
            return succeed(frozenset({canonical_host(host)}))
        return self._resolver.resolve(host).addCallbacks(_texts, _none_found)

    def _compare(self, found: list[Found], name: str, hosts: list[str]) -> str | None:
        there, *ours = found
        pods = frozenset[str]().union(*(one for one in ours if one is not None))
        if there is None or (there and (not pods or None in ours)):
            return None
        where = " or ".join(hosts)
        if not there:
            return f"{name} doesn't resolve: clients reach a pod by it once it leads to {where}"
        if there & pods:
            return None
        return f"{name} is {', '.join(sorted(there))}, which is no pod: let it lead to {where}"


def _texts(addresses: Sequence[Address]) -> Found:
    return frozenset(map(str, addresses))


def _none_found(failure: Failure) -> Found:
    failure.trap(DialError)
    assert isinstance(failure.value, DialError)
    return frozenset() if failure.value.failure is DialFailure.NAME_NOT_FOUND else None
