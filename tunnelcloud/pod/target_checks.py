"""Checks the path to each tunnel's target every ``Settings.target_check_seconds``.

A few checks of a site run at a time, and only if this pod has a link to the site.  The checks of a
round begin over half of the time until the next one, except for those of the first round.  The
ports of a published range are checked in turn.  A tunnel that is new, or may be reached again, is
checked within a second.  Results are kept in memory; each pod knows only its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.entities import Settings
from tunnelcloud.domain.objects.sites import Connector, Tunnel
from tunnelcloud.domain.tunnel_standing import port_after
from tunnelcloud.pod.interfaces import ILinks
from tunnelcloud.pod.links import ILinksListener
from tunnelcloud.pod.outage_log import OUTAGES
from tunnelcloud.pod.path_check import Doctor
from tunnelcloud.pod.target_check_order import CheckOrder
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import preferences, tunnels
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import NotFound, StoreUnavailable
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.transaction import Change, Resync, Transaction
from tunnelcloud.web.interfaces import LastCheck

LOOK_SECONDS = 1.0
"""Seconds between two looks whether something is new, or a round due."""

_SETTINGS_SECONDS = 5.0
"""Seconds between two reads of the settings if nothing else is to be checked."""

_MOST_PORTS = 256
"""How many ports of a tunnel are remembered."""

_AGAIN = 3
"""How many ports that failed are checked again in a round, besides the one whose turn it is."""

_MOST_WANTED = 200
"""How many changed tunnels are checked before the next round."""

_PAGE = 200

_PART_OF_TIME = 0.5
"""A round takes that part of the time until the next one is due."""

_LEAST = 25
"""How many tunnels at least are tried in each part of a round."""

_log = Logger()


@define
class _Round:
    """A round that has begun.

    :ivar cursor: where it goes on.
    :ivar there: the ids of the tunnels that it has come by.
    """

    cursor: str | None = None
    there: set[str] = field(factory=set)


@implementer(ILinksListener)
@define(eq=False)
class TargetChecks:
    """Checks targets on demand and by the clock, and remembers the results.

    :ivar now: the time of day.
    """

    store: AsyncStore
    links: ILinks
    doctor: Doctor
    clock: IReactorTime
    now: Callable[[], datetime]
    _turns: CheckOrder = field(init=False)
    _found: dict[str, dict[int, LastCheck]] = field(factory=dict, init=False)
    _places: dict[str, tuple[int, int]] = field(factory=dict, init=False)
    _wanted: dict[str, None] = field(factory=dict, init=False)
    _sites: dict[str, None] = field(factory=dict, init=False)
    _began: float | None = field(default=None, init=False)
    _round: _Round | None = field(default=None, init=False)
    _known: int = field(default=0, init=False)
    _under_way: bool = field(default=False, init=False)
    _settings: Settings | None = field(default=None, init=False)
    _settings_read: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        """Have nothing to check yet."""
        self._turns = CheckOrder(self.clock, self._try)

    def last(self, tunnel_id: str) -> LastCheck | None:
        """Return the last check of a tunnel, preferably of a failed port; None before the first."""
        found = tuple(self._found.get(tunnel_id, {}).values())
        return max(found, key=lambda one: (not one.ok, one.at), default=None)

    def faults(self, tunnel_id: str) -> Mapping[int, str]:
        """Return the faults that the last checks of a tunnel's ports found."""
        found = tuple(self._found.get(tunnel_id, {}).items())
        return {port: "" if one.ok else one.steps[-1].text for port, one in found}

    def all(self) -> Iterable[LastCheck]:
        """Return the last check of each tunnel that had one."""
        return tuple(found for one in self._found if (found := self.last(one)) is not None)

    def failing(self) -> dict[str, str]:
        """Return the faults of tunnels whose last check failed, by their ids."""
        return {
            tunnel_id: next(fault for fault in faults.values() if fault)
            for tunnel_id in tuple(self._found)
            if any((faults := self.faults(tunnel_id)).values())
        }

    def certificates(self) -> dict[str, datetime]:
        """Return when the targets' certificates end, as last seen, by the tunnels' ids."""
        return {
            tunnel_id: min(ends)
            for tunnel_id, found in self._found.items()
            if (
                ends := [
                    one.steps[-1].certificate.ends_at
                    for one in found.values()
                    if one.steps and one.steps[-1].certificate is not None
                ]
            )
        }

    def changed(self, change: Change | Resync) -> None:
        """Hear of a change from the change feed: new and changed tunnels are checked soon."""
        if not isinstance(change, Change) or change.kind != "tunnel":
            return
        if change.decides:
            self._found.pop(change.id, None)
        if len(self._wanted) < _MOST_WANTED:
            self._wanted[change.id] = None

    def connector_attached(self, connector: Connector, version: str) -> None:
        """Check the tunnels of its site soon: they may have been unreachable."""
        self._sites[connector.site_id] = None

    def connector_detached(self, connector: Connector, reason: str) -> None:
        """Keep the results: other connectors may reach the site."""

    def connector_cloned(self, connector: Connector, reason: str) -> None:
        """Nothing is to be done: the path doesn't change."""

    async def check(self, tunnel: Tunnel, port: int) -> Sequence[DoctorStep]:
        """Check every hop to a tunnel's target now."""
        steps = tuple([step async for step in self.doctor.check(tunnel, port)])
        ok = all(step.ok for step in steps)
        found = self._found.setdefault(tunnel.id, {})
        before = found.pop(port, None)
        if before is not None and before.ok != ok:
            state = "answers again" if ok else f"doesn't answer: {steps[-1].text}"
            _log.info("the target of {name} {state}", name=tunnel.name, state=state)
        found[port] = LastCheck(self.now(), ok, steps)
        if len(found) > _MOST_PORTS:
            del found[next(iter(found))]
        return steps

    def run(self) -> Deferred[None]:
        """Have new tunnels checked, or all if a round is due; called every ``LOOK_SECONDS``."""
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        if self._under_way or not self._may_be_due():
            return
        self._under_way = True
        try:
            settings = await self.store.read(preferences.settings)
            self._settings, self._settings_read = settings, self.clock.seconds()
            every = settings.target_check_seconds
            if every is None:
                self._round = None
                return
            if self._round is None and self._due(settings):
                self._began, self._round = self.clock.seconds(), _Round()
            await self._fresh()
            if self._round is not None:
                await self._go_on(self._round, every)
        except StoreUnavailable:
            OUTAGES.tell(Failure(), "targets aren't checked")
        finally:
            self._under_way = False

    def _may_be_due(self) -> bool:
        """Tell whether there may be something to do, by the settings as last read."""
        if self._wanted or self._sites or self._round or self._settings is None:
            return True
        is_old = self.clock.seconds() - self._settings_read >= _SETTINGS_SECONDS
        return is_old or self._due(self._settings)

    def _due(self, settings: Settings) -> bool:
        every = settings.target_check_seconds
        if every is None:
            return False
        return self._began is None or self.clock.seconds() - self._began >= every

    async def _go_on(self, this: _Round, every: int) -> None:
        """Have as many tunnels of a round checked as the time since the last look allows."""
        parts = max(1, int(every * _PART_OF_TIME / LOOK_SECONDS))
        left = max(_LEAST, -(-self._known // parts)) if self._known else None
        while left is None or left > 0:
            page = await self.store.read(_page, this.cursor, {}, min(_PAGE, left or _PAGE))
            this.there |= {tunnel.id for tunnel in page.items}
            self._try_those(page.items)
            left = None if left is None else left - len(page.items)
            this.cursor = page.next_cursor
            if this.cursor is None:
                self._end(this)
                return

    def _end(self, this: _Round) -> None:
        self._round, self._known = None, len(this.there)
        self._turns.keep(this.there)
        for kept in (self._found, self._places):
            for gone in kept.keys() - this.there:
                del kept[gone]

    async def _fresh(self) -> None:
        """Have tunnels checked that never were, or whose state may have changed since."""
        wanted, sites = tuple(self._wanted), tuple(self._sites)
        self._wanted.clear()
        self._sites.clear()
        if wanted:
            self._try_those(await self.store.read(_those, wanted), first=True)
        for site_id in sites:
            cursor: str | None = None
            while True:
                page = await self.store.read(_page, cursor, {"site_id": site_id}, _PAGE)
                self._try_those(page.items)
                cursor = page.next_cursor
                if cursor is None:
                    break

    def _try_those(self, found: Iterable[Tunnel], *, first: bool = False) -> None:
        for tunnel in found:
            if self.links.pick(tunnel.site_id) is not None:
                self._turns.add(tunnel, first=first)

    async def _check_ports(self, tunnel: Tunnel) -> None:
        """Check the port whose turn it is, and some of those that failed."""
        faults = self.faults(tunnel.id)
        place = port_after(tunnel.target_ports, self._places.get(tunnel.id))
        self._places[tunnel.id] = place
        failed = [one for one, fault in faults.items() if fault and tunnel.publishes(one)]
        for port in dict.fromkeys([place[1], *failed[:_AGAIN]]):
            await self.check(tunnel, port)

    def _try(self, tunnel: Tunnel) -> Deferred[None]:
        return Deferred.fromCoroutine(self._check_ports(tunnel)).addErrback(
            lambda failure: _log.failure("{name} can't be checked", failure, name=tunnel.name)
        )


def _page(
    transaction: Transaction, cursor: str | None, filters: Mapping[str, str], limit: int
) -> ListPage[Tunnel]:
    return tunnels.list_page(transaction, limit=limit, cursor=cursor, enabled=True, **filters)


def _those(transaction: Transaction, ids: Iterable[str]) -> list[Tunnel]:
    """Read those of some tunnels that exist and are enabled."""
    found = []
    for tunnel_id in ids:
        with suppress(NotFound):
            found.append(tunnels.get(transaction, tunnel_id))
    return [tunnel for tunnel in found if tunnel.enabled]
