"""Whether a host name leads clients to a pod: asked of the system's resolver, and not for long.

Lookups run in threads of their own, which may hang as long as the system's resolver likes: nobody
waits for them beyond L{LOOKUP_SECONDS}, and while L{MAX_LOOKUPS} hang no other is begun.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Collection, Sequence

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime

from tunnelcloud.domain.names import canonical_host, is_address

LOOKUP_SECONDS = 2.0
MAX_LOOKUPS = 8

Found = frozenset[str] | None
"""Addresses, empty when there are none; None when that could not be told in time."""

LookUp = Callable[[str], Collection[str]]


class Reactor(IReactorTime, IReactorFromThreads):
    """What lookups need of a reactor."""


def system_addresses(host: str) -> Collection[str]:
    """Ask the system's resolver for the addresses of a name.  Blocks."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return {canonical_host(str(entry[4][0])) for entry in found}


class Reach:
    """Tells where names lead.

    :param pods: gives the hosts at which clients reach the pods.
    :param look_up: gives a name's addresses; blocks, and raises L{OSError} when there are none.
    """

    def __init__(
        self,
        reactor: Reactor,
        pods: Callable[[], Sequence[str]],
        look_up: LookUp = system_addresses,
    ) -> None:
        self._reactor = reactor
        self._pods = pods
        self._look_up = look_up
        self._under_way = 0

    def warning(self, name: str) -> Deferred[str | None]:
        """Say why clients that connect to a name would not reach a pod.

        :return: fires with None when they would, or when that can't be told now.
        """
        hosts = list(dict.fromkeys(self._pods()))
        asked = gatherResults([self.addresses(host) for host in (name, *hosts)])
        return asked.addCallback(self._compare, name, hosts)

    def addresses(self, host: str) -> Deferred[Found]:
        """Give the addresses of a host; never fails."""
        answer: Deferred[Found] = Deferred()
        if is_address(host):
            answer.callback(frozenset({canonical_host(host)}))
        elif self._under_way >= MAX_LOOKUPS:
            answer.callback(None)
        else:
            self._under_way += 1
            answer.addTimeout(LOOKUP_SECONDS, self._reactor, lambda *_: None)
            threading.Thread(
                target=self._run, args=(host, answer), name="look-up", daemon=True
            ).start()
        return answer

    def _run(self, host: str, answer: Deferred[Found]) -> None:
        try:
            found: Found = frozenset(self._look_up(host))
        except (OSError, UnicodeError):
            found = frozenset()
        self._reactor.callFromThread(self._told, found, answer)

    def _told(self, found: Found, answer: Deferred[Found]) -> None:
        self._under_way -= 1
        if not answer.called:
            answer.callback(found)

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
