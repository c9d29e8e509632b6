"""Tries the way to each tunnel's target every so often, as L{Settings.target_check_seconds} says.

Gently: a few at a time, and only where this pod has a link to the site.  What was found is kept in
memory; each pod knows its own ways only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tunnelcloud.domain.entities import Settings, Tunnel
from tunnelcloud.pod.doctor import Doctor
from tunnelcloud.pod.interfaces import ILinks
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import preferences, tunnels
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.paging import ListPage
from tunnelcloud.store.transaction import Transaction
from tunnelcloud.web.interfaces import LastCheck

LOOK_SECONDS = 5.0
"""So often it is asked whether a round is due."""

AT_ONCE = 4
_PAGE = 200

_log = Logger()


@define(eq=False)
class TargetChecks:
    """Checks targets on demand and by the clock, and remembers what came of it.

    :ivar now: the time of day.
    """

    store: AsyncStore
    links: ILinks
    doctor: Doctor
    clock: IReactorTime
    now: Callable[[], datetime]
    _found: dict[str, LastCheck] = field(factory=dict, init=False)
    _began: float | None = field(default=None, init=False)
    _under_way: bool = field(default=False, init=False)

    def last(self, tunnel_id: str) -> LastCheck | None:
        """Give what came of the last check of a tunnel; None when there was none."""
        return self._found.get(tunnel_id)

    def all(self) -> Iterable[LastCheck]:
        """Give what came of the last check of each tunnel that had one."""
        return tuple(self._found.values())

    def certificates(self) -> dict[str, datetime]:
        """Tell when the certificates end that last checks saw, by the tunnels' ids."""
        return {
            tunnel_id: found.steps[-1].certificate.ends_at
            for tunnel_id, found in self._found.items()
            if found.steps and found.steps[-1].certificate is not None
        }

    async def check(self, tunnel: Tunnel, port: int) -> Sequence[DoctorStep]:
        """Check every hop to a tunnel's target now."""
        steps = tuple([step async for step in self.doctor.check(tunnel, port)])
        ok = all(step.ok for step in steps)
        before = self._found.get(tunnel.id)
        if before is not None and before.ok != ok:
            state = "answers again" if ok else f"doesn't answer: {steps[-1].text}"
            _log.info("the target of {name} {state}", name=tunnel.name, state=state)
        self._found[tunnel.id] = LastCheck(self.now(), ok, steps)
        return steps

    def run(self) -> Deferred[None]:
        """Do a round if one is due; called every L{LOOK_SECONDS}, and never waited for."""
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> None:
        if self._under_way:
            return
        self._under_way = True
        try:
            settings = await self.store.read(preferences.settings)
            if self._due(settings):
                self._began = self.clock.seconds()
                await self._round()
        except StoreUnavailable as error:
            _log.warn("targets aren't checked: {why}", why=error)
        finally:
            self._under_way = False

    def _due(self, settings: Settings) -> bool:
        every = settings.target_check_seconds
        if every is None:
            return False
        return self._began is None or self.clock.seconds() - self._began >= every

    async def _round(self) -> None:
        few = DeferredSemaphore(AT_ONCE)
        cursor: str | None = None
        there: set[str] = set()
        while True:
            page = await self.store.read(_page, cursor)
            there |= {tunnel.id for tunnel in page.items}
            ready = [one for one in page.items if self.links.pick(one.site_id) is not None]
            await gatherResults([few.run(self._try, tunnel) for tunnel in ready])
            cursor = page.next_cursor
            if cursor is None:
                break
        for gone in self._found.keys() - there:
            del self._found[gone]

    def _try(self, tunnel: Tunnel) -> Deferred[None]:
        checking = Deferred.fromCoroutine(self.check(tunnel, tunnel.target_ports[0].first))
        done: Deferred[None] = checking.addCallback(lambda _: None)
        return done.addErrback(
            lambda failure: _log.failure("{name} can't be checked", failure, name=tunnel.name)
        )


def _page(transaction: Transaction, cursor: str | None) -> ListPage[Tunnel]:
    return tunnels.list_page(transaction, limit=_PAGE, cursor=cursor, enabled=True)
