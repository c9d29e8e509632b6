"""What a pod has its numbers from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from attrs import frozen

from tunnelcloud.channels.windows import CreditBudget
from tunnelcloud.net.interfaces import IFloodControl
from tunnelcloud.pod.held_channels import HeldChannels
from tunnelcloud.pod.links import Links
from tunnelcloud.pod.live_sessions import LiveSessions
from tunnelcloud.pod.periodic_work import Supervisor
from tunnelcloud.pod.records import Records
from tunnelcloud.pod.target_checks import TargetChecks
from tunnelcloud.sinks.sinks import Sinks
from tunnelcloud.store.database_metrics import Measures


@frozen
class Measured:
    """The sources of a pod's gauges.

    :ivar feed_age: gives for how many seconds changes may have been missed.
    :ivar certificates: gives when certificates end, by what they are for.
    :ivar refused_certificates: counts orders by ACME that failed since the last good one.
    :ivar measures: gives what the store was found to have.
    :ivar database: SQLite's file; None for a server.
    :ivar ready: tells whether the pod is ready.
    """

    sessions: LiveSessions
    held: HeldChannels
    links: Links
    flood: IFloodControl
    link_flood: IFloodControl
    budget: CreditBudget
    checks: TargetChecks
    supervisor: Supervisor
    records: Records
    sinks: Sinks
    feed_age: Callable[[], float]
    certificates: Callable[[], dict[str, datetime]]
    refused_certificates: Callable[[], int]
    measures: Callable[[], Measures]
    database: Path | None
    ready: Callable[[], bool]
    now: Callable[[], datetime]
