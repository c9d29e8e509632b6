"""What a fleet costs: 1,000,000 users, 10,000 connectors and 100 pods, from what one of each costs.

    python -m benchmarks.fleet              # the arithmetic, and storms with the real back-off
    python -m benchmarks.fleet --measure    # what an attaching link costs here

Nothing runs at that size: figures of one pod, which other programs here print, are multiplied.  How
connectors come back is played on a clock by the program's own ``LinkKeeper`` and ``FloodControl``,
against a pod that takes as long for a link as was measured.
"""

import argparse
import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterable

from attrs import define, evolve, frozen
from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IProtocol
from twisted.internet.task import Clock
from twisted.logger import globalLogBeginner

from tests.pod.connectors import Door
from tunnelcloud.connector.link_keeper import LinkKeeper
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.protocol import HANDSHAKE_TIMEOUT
from tunnelcloud.net.source_limits import FloodControl
from tunnelcloud.pod.cluster import BEAT_SECONDS
from tunnelcloud.pod.connector_listener import HANDSHAKE_PAUSE, MAX_IN_DOOR, door_limits
from tunnelcloud.pod.service import REVIEW_SECONDS

KIB, MIB = 1 << 10, 1 << 20
_LONGEST = 3600.0


@frozen
class Costs:
    """What one of each costs a pod, as README.md beside this has it.

    :ivar link_seconds: processor time until a link is attached; see ``--measure``.
    :ivar login_seconds: processor time of a connection from its start to a target's first byte.
    :ivar database_statements: a second that one PostgreSQL of some cores carries; an assumption.
    """

    idle: float = 92 * MIB
    session: float = 16.9 * KIB
    channel: float = 4.6 * KIB
    link: float = 72 * KIB
    link_seconds: float = 0.008
    login_seconds: float = 0.0031
    login_statements: int = 6
    channel_statements: int = 4
    database_statements: float = 20_000


@frozen
class Fleet:
    """How much of everything.

    :ivar active: which part of the users has a session open at the busiest time.
    :ivar day: hours in which a user's logins are spread.
    :ivar pods_of_connector: to how many pods each connector holds links; 0 for all.
    """

    users: int = 1_000_000
    connectors: int = 10_000
    pods: int = 100
    active: float = 0.1
    channels: float = 3.0
    logins_a_day: float = 4.0
    day: float = 8.0
    links_each: int = 2
    pods_of_connector: int = 0

    @property
    def links_of_pod(self) -> float:
        """How many links a pod holds."""
        reached = self.pods_of_connector or self.pods
        return self.connectors * self.links_each * reached / self.pods


@frozen
class Load:
    """What a fleet costs: of each pod, and of the database in statements a second."""

    memory: float
    processor: float
    reviews: float
    heartbeats: float
    logins: float
    attachments: float

    @property
    def statements(self) -> float:
        """All of the database's."""
        return self.reviews + self.heartbeats + self.logins


def load(fleet: Fleet, costs: Costs) -> Load:
    """Multiply."""
    sessions = fleet.users * fleet.active / fleet.pods
    logins = fleet.users * fleet.logins_a_day / (fleet.day * 3600)
    rows = fleet.connectors * (fleet.pods_of_connector or fleet.pods)
    return Load(
        memory=costs.idle
        + sessions * (costs.session + fleet.channels * costs.channel)
        + fleet.links_of_pod * costs.link,
        processor=logins / fleet.pods * costs.login_seconds,
        # A connector is looked up and noted again in each review: a row counts as a statement.
        reviews=2 * rows / REVIEW_SECONDS,
        heartbeats=5 * fleet.pods / BEAT_SECONDS,
        logins=logins * (costs.login_statements + fleet.channels * costs.channel_statements),
        # Every heartbeat counts the pods of each connector.
        attachments=rows * fleet.pods / BEAT_SECONDS,
    )


# Storms.


class QuickClock(Clock):
    """Keeps what is to come in a heap: Twisted's sorts all of it with each call."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, int, DelayedCall]] = []
        self._number = itertools.count()

    def callLater(  # type: ignore[override]
        self, delay: float, function: Callable[..., object], *args: object
    ) -> DelayedCall:
        """See ``IReactorTime``."""
        at = self.rightNow + delay
        call = DelayedCall(at, function, args, {}, lambda _: None, lambda _: None, self.seconds)
        heapq.heappush(self._heap, (at, next(self._number), call))
        return call

    def step(self) -> bool:
        """Go on to what comes next, and do it; tell whether there was anything."""
        if not self._heap:
            return False
        self.rightNow, _, call = heapq.heappop(self._heap)
        if call.active():
            call.called = 1
            call.func(*call.args, **call.kw)
        return True


@define(eq=False)
class Pod:
    """One core that takes links one after the other."""

    clock: QuickClock
    flood: FloodControl
    seconds: float
    free_at: float = 0.0
    refused: int = 0
    taken: int = 0

    def dial(self, keeper: LinkKeeper, source: str) -> "Deferred[IProtocol]":
        """Take a connection, or drop it as the connectors' door does."""
        if self.flood.connection_made(source):
            self.refused += 1
            return fail(ConnectionRefusedError("dropped"))
        answer: Deferred[IProtocol] = Deferred()
        if self.free_at - self.clock.seconds() > HANDSHAKE_TIMEOUT:
            self.clock.callLater(HANDSHAKE_TIMEOUT, self._too_late, answer, source)
            return answer
        self.free_at = max(self.free_at, self.clock.seconds()) + self.seconds
        self.clock.callLater(self.free_at - self.clock.seconds(), self._taken, answer, source)
        return answer

    def _too_late(self, answer: "Deferred[IProtocol]", source: str) -> None:
        self.refused += 1
        self.flood.connection_lost(source)
        answer.errback(TimeoutError("no hello in time"))

    def _taken(self, answer: "Deferred[IProtocol]", source: str) -> None:
        self.taken += 1
        self.flood.authenticated(source)
        answer.callback(None)  # type: ignore[arg-type]


def storm(connectors: int, links_each: int, costs: Costs, seed: int) -> tuple[float, int]:
    """Have a pod come back to connectors that lost it.

    :return: seconds until the last link is attached, and how many attempts were dropped.
    """
    clock, chance = QuickClock(), random.Random(seed)
    flood = FloodControl(clock, chance.random, door_limits(MAX_IN_DOOR))
    pod = Pod(clock, flood, costs.link_seconds * (1 + HANDSHAKE_PAUSE))
    keepers = []
    for number in range(connectors):
        source = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        for _ in range(links_each):
            keeper = LinkKeeper(
                PublicAddress("pod", 1),
                lambda one, source=source: pod.dial(one, source),  # type: ignore[misc]
                clock,
                chance.random,
            )
            keepers.append(keeper)
            # Each has lost its link, and waits the shortest time.
            clock.callLater(0.5 * (0.5 + chance.random()), keeper.start)
    while pod.taken < len(keepers) and clock.seconds() < _LONGEST and clock.step():
        pass
    return clock.seconds(), pod.refused


def measure(count: int = 100) -> float:
    """Give the processor time of a link from the connection on, both ends and the wire together."""
    door = Door()
    ends = [door.enrol(number)[1] for number in range(count)]
    began = time.process_time()
    for tls in ends:
        door.link(tls)
        door.silence()
    return (time.process_time() - began) / count


def show(fleet: Fleet, costs: Costs) -> None:
    """Print what a fleet costs."""
    found = load(fleet, costs)
    reached = fleet.pods_of_connector or fleet.pods
    print(
        f"| {fleet.users:,} / {fleet.connectors:,} / {fleet.pods} | {reached} | "
        f"{fleet.links_of_pod:,.0f} | {found.memory / MIB:,.0f} MiB | {found.processor:.1%} | "
        f"{found.logins:,.0f} | {found.reviews:,.0f} | {found.heartbeats:,.0f} | "
        f"{found.statements / costs.database_statements:.1f} | {found.attachments:,.0f} |"
    )


def fleets() -> Iterable[Fleet]:
    """Give the sizes that are shown."""
    small = Fleet(users=1_000, connectors=100, pods=3)
    middle = Fleet(users=50_000, connectors=1_000, pods=10)
    yield from (small, middle, Fleet())
    yield evolve(Fleet(), pods_of_connector=3)


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", action="store_true")
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    costs = Costs()
    if options.measure:
        print(f"a link: {measure() * 1000:.1f} ms of processor time, both ends together")
        return
    print(
        "| users / connectors / pods | pods a connector | links a pod | memory a pod | CPU of "
        "logins | logins' statements/s | reviews' | heartbeats' | databases | rows counted/s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for fleet in fleets():
        show(fleet, costs)
    for connectors, links_each in ((500, 2), (1_000, 2), (10_000, 2), (10_000, 1)):
        seconds, refused = storm(connectors, links_each, costs, options.seed)
        least = connectors * links_each * costs.link_seconds
        print(
            f"{connectors:,} connectors with {links_each} links each: all back after "
            f"{seconds:.0f} s ({least:.0f} s of work), {refused:,} attempts dropped"
        )


if __name__ == "__main__":
    main()
