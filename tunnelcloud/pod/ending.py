"""Warns of certificates that end soon: the CA's, this pod's own, and connectors'.

A pod's and a connector's are renewed by themselves when two thirds of their time are over: one that
has less left than a quarter of it wasn't.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tunnelcloud.pki import POD_CERTIFICATE_LIFETIME
from tunnelcloud.pod.shared_keys import SharedKeys
from tunnelcloud.store import connectors
from tunnelcloud.store.asynchronous import AsyncStore

ENDING_SECONDS = 6 * 3600.0
WARN_BEFORE = timedelta(days=90)
_DAY = "%Y-%m-%d"

_log = Logger()


@define(eq=False)
class Ending:
    """Looks now and then.

    :ivar own_end: tells when this pod's certificate ends.
    :ivar lifetime: of connectors' certificates.
    """

    store: AsyncStore
    keys: SharedKeys
    own_end: Callable[[], datetime]
    lifetime: timedelta
    now: Callable[[], datetime]
    _connectors: str = field(default="", init=False)

    def look(self) -> Deferred[None]:
        """Look which connectors have certificates that end soon, and log all warnings."""
        until = self.now() + min(WARN_BEFORE, self.lifetime / 4)
        return self.store.read(connectors.ending, until).addCallback(self._found)

    def warnings(self) -> Sequence[str]:
        """Say what ends soon, and what to do."""
        now, found = self.now(), []
        authority = self.keys.authorities.all[0].certificate.not_valid_after_utc
        if authority - now < WARN_BEFORE:
            found.append(
                f"the CA of pods and connectors ends on {authority:{_DAY}}: make another with "
                "`tunnelcloud authority rotate`"
            )
        own = self.own_end()
        if own - now < min(WARN_BEFORE, POD_CERTIFICATE_LIFETIME / 4):
            found.append(f"this pod's certificate ends on {own:{_DAY}}: start the pod again")
        return [*found, self._connectors] if self._connectors else found

    def _found(self, ending: connectors.EndingSoon) -> None:
        self._connectors = ""
        if ending.count:
            more = f" and {ending.count - len(ending.names)} more"
            self._connectors = (
                f"certificates of connectors end by {ending.until:{_DAY}} and aren't renewed: "
                f"{', '.join(ending.names)}{more if ending.count > len(ending.names) else ''}: "
                "have them reach a pod, or join anew"
            )
        for text in self.warnings():
            _log.warn("{text}", text=text)
