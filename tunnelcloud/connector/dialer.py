"""Connects to targets, within the site owner's lists, and only to an address that was checked.

Knows names, addresses and limits, and nothing of channels or pods.  The codes of failures are in
``tunnelcloud.domain.dial_failures``.
"""

from collections import Counter
from collections.abc import Callable, Sequence

from attrs import frozen
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from tunnelcloud.connector.allowed_targets import AccessList, read_target
from tunnelcloud.connector.happy_eyeballs import Race
from tunnelcloud.connector.interfaces import IConnectorReactor
from tunnelcloud.domain.addresses import Address
from tunnelcloud.domain.dial_failures import DialError, DialFailure
from tunnelcloud.domain.names import BadName
from tunnelcloud.net.interfaces import IResolver

CONNECT_TIMEOUT = 10.0
"""Seconds from the first attempt to connect until the last is given up."""


@frozen
class DialLimits:
    """How many connections a connector makes."""

    per_target: int = 1024
    """To one host and port, those that are being made included."""
    pending: int = 1024
    """That are being made, to all targets."""


class Dialer:
    """Makes connections to targets.

    :param access: what the site owner allows.
    """

    def __init__(
        self,
        reactor: IConnectorReactor,
        access: AccessList,
        resolver: IResolver,
        limits: DialLimits = DialLimits(),
        timeout: float = CONNECT_TIMEOUT,
    ) -> None:
        self._reactor = reactor
        self._access = access
        self._resolver = resolver
        self._limits = limits
        self._timeout = timeout
        self._per_target: Counter[tuple[Address | str, int]] = Counter()
        self._pending = 0

    @property
    def connections(self) -> int:
        """The number of connections that are open or being made."""
        return self._per_target.total()

    def dial(
        self, host: str, port: int, build_protocol: Callable[[], Protocol]
    ) -> "Deferred[Protocol]":
        """Connect to a target.

        :param host: a DNS name or an address in any notation.
        :param build_protocol: makes the protocol, once, when the target has answered.
        :return: fires with the protocol, just before it hears ``connectionMade``; fails with
            ``DialError``.  Cancelling it gives up.
        """
        try:
            target = read_target(host)
        except BadName:
            return fail(DialError(DialFailure.NAME_NOT_FOUND))
        if not 0 < port < 65536:
            return fail(DialError(DialFailure.DENIED))
        key = (target, port)
        if (
            self._per_target[key] >= self._limits.per_target
            or self._pending >= self._limits.pending
        ):
            return fail(DialError(DialFailure.LIMIT))
        self._per_target[key] += 1
        self._pending += 1

        def lost() -> None:
            self._per_target[key] -= 1
            if not self._per_target[key]:
                del self._per_target[key]

        tried: set[Address] = set()

        def race(addresses: Sequence[Address]) -> "Deferred[Protocol]":
            tried.update(addresses)
            return Race(self._reactor, addresses, port, self._timeout, build_protocol, lost).start()

        def over(outcome: "Protocol | Failure") -> "Protocol | Failure":
            self._pending -= 1
            if isinstance(outcome, Failure):
                lost()
            return outcome

        def again(failure: Failure) -> "Failure | Deferred[Protocol]":
            if not tried or not isinstance(target, str) or not failure.check(DialError):
                return failure
            # None of the known addresses answers: the name may have moved since.
            if not self._resolver.forget(target):
                return failure
            looked_up = self._permitted_addresses(target, port)
            return looked_up.addCallbacks(
                lambda found: failure if tried.issuperset(found) else race(found),
                lambda _: failure,
            )

        permitted = self._permitted_addresses(target, port)
        dialing: Deferred[Protocol] = permitted.addCallback(race)
        dialing.addErrback(again)
        return dialing.addBoth(over)

    def _permitted_addresses(
        self, target: "Address | str", port: int
    ) -> "Deferred[Sequence[Address]]":
        if not isinstance(target, str):
            return self._permitted(None, [target], port)
        if not self._access.permits_lookup(target, port):
            return fail(DialError(DialFailure.DENIED))
        found = self._resolver.resolve(target)
        return found.addCallback(lambda addresses: self._permitted(target, addresses, port))

    def _permitted(
        self, name: str | None, addresses: Sequence[Address], port: int
    ) -> "Deferred[Sequence[Address]]":
        permitted = [each for each in addresses if self._access.permits(name, each, port)]
        return succeed(permitted) if permitted else fail(DialError(DialFailure.DENIED))
