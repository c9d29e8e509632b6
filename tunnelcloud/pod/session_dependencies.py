"""What a live session needs of the pod around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.channels.splice import PATIENCE
from tunnelcloud.domain.entities import Session, UserView
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.domain.policy import Decision
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pod.counters import Counters
from tunnelcloud.pod.held_channels import HeldChannels
from tunnelcloud.pod.interfaces import ILinks, IRecords, IViews
from tunnelcloud.pod.work_in_turns import Turns
from tunnelcloud.ssh.interfaces import DoctorStep, TunnelRow

if TYPE_CHECKING:
    from tunnelcloud.pod.live_session import LiveSession


class Describe(Protocol):
    """Makes the row that the greeting shows of a tunnel."""

    def __call__(
        self, view: UserView, session: Session, tunnel: Tunnel, decision: Decision, /
    ) -> TunnelRow:
        """Describe ``tunnel`` to the user of ``session``, with whether it opens now, or why not."""


class Doctor(Protocol):
    """Checks every hop to a tunnel."""

    def __call__(self, live: LiveSession, tunnel: Tunnel, /) -> AsyncIterator[DoctorStep]:
        """Give a step at a time."""


@frozen
class Surroundings:
    """What every live session needs of the pod.

    :ivar now: the time of day, aware.
    :ivar address: gives where SSH clients reach this pod.
    :ivar patience: see ``TunnelRoute``.
    :ivar counters: counts for monitoring.
    :ivar spread: does works in steps that take turns; see ``tunnelcloud.net.spreading``.
    :ivar refuses: says why the pod opens no channels at all now; empty when it does.
    """

    links: ILinks
    records: IRecords
    views: IViews
    clock: IReactorTime
    now: Callable[[], datetime]
    describe: Describe
    doctor: Doctor
    turns: Turns
    spread: Callable[[Callable[[], bool]], None]
    address: Callable[[], PublicAddress]
    held: HeldChannels
    patience: int = PATIENCE
    refuses: Callable[[], str] = str
    counters: Counters = field(factory=Counters)
