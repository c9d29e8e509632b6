"""Notices to administrators by webhook and mail.

Some notices are about events (a request waits, somebody logs in from a new network): the pod that
recorded the event sends the notice.  Others are about conditions that last (a site is down, a
target fails, a certificate ends, a disk fills): each pod checks them, and the store makes sure that
only one pod tells when a condition begins and ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from tunnelcloud.domain.events import AuditRecord
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.target_certificates import ENDS_SOON
from tunnelcloud.pod.live_pod import LivePod
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.sinks.sinks import Sinks
from tunnelcloud.store import notice_conditions
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.site_health import Attachments
from tunnelcloud.store.transaction import Committed
from tunnelcloud.web.resources.attached_connectors import attachments_at

LOOK_SECONDS = 30.0
PATIENCE = 120.0
"""Seconds that a site has to be down, or a target to fail, before a notice is sent."""

SETTLED = 300.0
"""Seconds after its start before a pod tells that a condition is over: connectors may still be
attaching."""

MOST_OF_USER = 10
"""How many notices of one kind an hour one user may cause."""

HOUR = 3600.0
AUTHORITY_ENDS_SOON = timedelta(days=90)
FULL = 0.9
"""The used part of a disk from which on it counts as filling."""

_log = Logger()


class Measure:
    """Counts the notices that each user causes, each kind by itself; from any thread."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = Lock()

    def take(self, user_id: str, kind: str) -> int:
        """Count one more; give how many are left in this hour, below zero for none.

        :param kind: of the notice: many of one kind don't suppress another.
        """
        key, now = (user_id, kind), self._clock.seconds()
        with self._lock:
            begun, count = self._told.get(key, (now, 0))
            if now - begun >= HOUR:
                self._told = {one: told for one, told in self._told.items() if now - told[0] < HOUR}
                begun, count = now, 0
            self._told[key] = begun, count + 1
            return MOST_OF_USER - count - 1


@frozen
class Condition:
    """A fault that lasts.

    :ivar kind: of the notice, such as ``site.down``.
    :ivar over: the kind of notice when it is over; empty for none.
    :ivar patience: seconds that it has to last before a notice is sent.
    """

    kind: str
    text: str
    path: str
    over: Mapping[str, str] = {}
    patience: float = 0.0


@frozen
class Seen:
    """The state that a pod checks.

    :ivar attachments: tells which connectors are attached.
    :ivar failing: tells what the last checks found wrong, by the tunnels' ids.
    :ivar target_certificates: tells when targets' certificates end, by the tunnels' ids.
    :ivar authority_ends: tells when the pods' own authority ends.
    :ivar web_is_ending: tells whether the web's certificate ends soon.
    """

    attachments: Callable[[], Attachments]
    failing: Callable[[], Mapping[str, str]]
    target_certificates: Callable[[], Mapping[str, datetime]]
    authority_ends: Callable[[], datetime]
    web_is_ending: Callable[[], bool]
    state_directory: Path


@define(eq=False)
class Notices:
    """Sends notices to administrators.

    :ivar pod: this pod's id and name.
    :ivar web_url: the portal's address for links, without a slash at the end.
    """

    sinks: Sinks
    store: AsyncStore
    seen: Seen
    reactor: Any
    pod: tuple[str, str]
    web_url: str
    now: Callable[[], datetime]
    _since: dict[str, float] = field(factory=dict, init=False)
    _measure: Measure = field(init=False)
    _started: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._started = self.reactor.seconds()
        self._measure = Measure(self.reactor)

    def committed(self, committed: Committed) -> None:
        """Send notices of the events that a transaction of this pod recorded; from any thread."""
        for record in committed.records:
            if record.event.event == "request.created":
                self._request(record)
            elif record.event.event == "emergency.begun":
                self._emergency(record)
            elif record.event.event == "login.succeeded" and record.event.source_ip:
                self.reactor.callFromThread(self._login, record)

    async def look(self) -> None:
        """Send notices of conditions that have begun or ended."""
        found = await self._conditions()
        clock = self.reactor.seconds()
        self._since = {key: self._since.get(key, clock) for key in found}
        ripe = {
            key: one.over for key, one in found.items() if clock - self._since[key] >= one.patience
        }
        ending = clock - self._started >= SETTLED
        synced = await self.store.write(notice_conditions.sync, self.pod[0], ripe, ending=ending)
        for key in synced.begun:
            self._tell(found[key].kind, found[key].text, found[key].path)
        over = {key: one for key, one in synced.over.items() if one[1] and key not in found}
        if over:
            await self._tell_over(over)

    async def _tell_over(self, over: Mapping[str, tuple[datetime, Mapping[str, str]]]) -> None:
        """Tell which conditions are over, except those of deleted and muted objects."""
        ids = frozenset(key.rpartition(" ")[2] for key in over)
        there = await self.store.read(notice_conditions.told_sites, ids)
        there |= (await self.store.read(notice_conditions.told_tunnels, ids)).keys()
        for key, (since, told) in over.items():
            if key.rpartition(" ")[2] in there:
                minutes = max(1, round((self.now() - since).total_seconds() / 60))
                self._tell(told["kind"], f"{told['text']} after {minutes} min", told["path"])

    async def _conditions(self) -> dict[str, Condition]:
        failing, ending = self.seen.failing(), self._ending_targets()
        down = await self.store.read(notice_conditions.sites_down, self.seen.attachments())
        names = await self.store.read(
            notice_conditions.told_tunnels, frozenset({*failing, *ending})
        )
        found = {
            f"site.down {site}": Condition(
                "site.down",
                f"site {name} is down: no connector is attached",
                f"/admin/sites/{site}",
                _over("site.back", f"site {name} is back", f"/admin/sites/{site}"),
                PATIENCE,
            )
            for site, name in down.items()
        }
        for tunnel, name in names.items():
            path = f"/admin/tunnels/{tunnel}"
            if tunnel in failing:
                found[f"target.failing {tunnel}"] = Condition(
                    "target.failing",
                    f"the target of {name} doesn't answer: {failing[tunnel]}",
                    path,
                    _over("target.back", f"the target of {name} answers again", path),
                    PATIENCE,
                )
            if tunnel in ending:
                text = f"the certificate of the target of {name} ends at {_day(ending[tunnel])}"
                key = f"certificate.ending {tunnel} {_day(ending[tunnel])}"
                found[key] = Condition("certificate.ending", text, path)
        return found | self._of_the_pod()

    def _of_the_pod(self) -> dict[str, Condition]:
        found, name = {}, self.pod[1]
        ends, settings = self.seen.authority_ends(), "/admin/settings"
        if ends - self.now() <= AUTHORITY_ENDS_SOON:
            text = f"the pods' own certificate authority ends at {_day(ends)}"
            found["certificate.ending authority"] = Condition("certificate.ending", text, settings)
        if self.seen.web_is_ending():
            text = f"the certificate that pod {name} shows browsers ends soon"
            found["certificate.ending web"] = Condition("certificate.ending", text, settings)
        disk = os.statvfs(self.seen.state_directory)
        full = 1 - disk.f_bavail / max(1, disk.f_blocks)
        if full >= FULL:
            text = f"the disk with the state directory of pod {name} is {full:.0%} full"
            found[f"disk.filling {name}"] = Condition("disk.filling", text, settings)
        return found

    def _ending_targets(self) -> dict[str, datetime]:
        until = self.now() + ENDS_SOON
        ends = self.seen.target_certificates()
        return {tunnel: moment for tunnel, moment in ends.items() if moment <= until}

    def _request(self, record: AuditRecord) -> None:
        event = record.event
        if event.data.get("approval") == Approval.SELF:
            return  # nobody but the user decides
        reason = str(event.data.get("reason") or "")
        text = f"{event.user_name} asks to open {event.tunnel_name}"
        self._tell_of_user(
            record,
            "request.waiting",
            f"{text}: {reason}" if reason else text,
            f"/requests/{event.data.get('request_id')}",
        )

    def _emergency(self, record: AuditRecord) -> None:
        """Tell it each time: how many there may be, its user's unreviewed ones say."""
        event = record.event
        text = f"{event.user_name} has opened {event.tunnel_name} in an emergency"
        path = f"/grants/{event.data.get('grant_id')}"
        self._tell("emergency.begun", f"{text}: {event.data.get('reason')}", path)

    def _login(self, record: AuditRecord) -> None:
        looking = Deferred.fromCoroutine(self._look_at_login(record))
        looking.addErrback(
            lambda failure: _log.warn(
                "it isn't known whether a login came from a new network: {why}",
                why=failure.getErrorMessage(),
            )
        )

    async def _look_at_login(self, record: AuditRecord) -> None:
        event = record.event
        source, session, user = event.source_ip, event.session_id, event.user_id
        if source is None or session is None or user is None:
            return
        if await self.store.read(notice_conditions.is_new_network, user, session, source):
            text = f"{event.user_name} has logged in from a new network: {source}"
            self._tell_of_user(record, "login.new_network", text, f"/admin/users/{user}")

    def _tell_of_user(self, record: AuditRecord, kind: str, text: str, path: str) -> None:
        """Send a notice of a user's action, within ``MOST_OF_USER``.

        The last notice of an hour says that further ones are left out.
        """
        left = self._measure.take(record.event.user_id or "", kind)
        if left > 0:
            self._tell(kind, text, path)
        elif left == 0:
            name = record.event.user_name
            more = f"{text}; more by {name} is not told for some time: see the audit"
            self._tell(kind, more, path)

    def _tell(self, kind: str, text: str, path: str) -> None:
        _log.info("told administrators: {text}", text=text)
        self.sinks.tell(
            {
                "at": self.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
                "kind": kind,
                "text": text,
                "link": f"{self.web_url}{path}",
                "pod": self.pod[1],
            }
        )


def _over(kind: str, text: str, path: str) -> Mapping[str, str]:
    return {"kind": kind, "text": text, "path": path}


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"


def make_notices(
    foundation: Foundation,
    store: AsyncStore,
    reactor: Any,
    live: LivePod,
    web_is_ending: Callable[[], bool],
    web_url: str,
    now: Callable[[], datetime],
) -> dict[str, tuple[Callable[[], object], float]]:
    """Begin to send notices of events, and return the periodic work that checks conditions."""
    told = Notices(
        sinks=foundation.sinks,
        store=store,
        seen=Seen(
            attachments=lambda: attachments_at(live, now()),
            failing=live.checks.failing,
            target_certificates=live.target_certificates,
            authority_ends=lambda: live.authorities()[0].expires_at,
            web_is_ending=web_is_ending,
            state_directory=foundation.settings.state_directory,
        ),
        reactor=reactor,
        pod=(foundation.seat.pod_id, foundation.settings.name),
        web_url=web_url,
        now=now,
    )
    foundation.store.listen(told.committed)
    return {"notices": (told.look, LOOK_SECONDS)}
