"""Warns of certificates that end soon: the CA's, this pod's own, connectors', and the web's.

Pods' and connectors' certificates are renewed by themselves when two thirds of their time are over:
if less than a quarter is left, the renewal has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from tunnelcloud.pki.authority import POD_CERTIFICATE_LIFETIME
from tunnelcloud.pod.shared_keys import SharedKeys
from tunnelcloud.store import connectors
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.web.interfaces import Warned

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
    _connectors: list[Warned] = field(factory=list, init=False)
    _web: Callable[[], Sequence[Warned]] = field(default=tuple, init=False)

    def watch_web(self, warnings: Callable[[], Sequence[Warned]]) -> None:
        """Add what there is to say of the web's certificate."""
        self._web = warnings

    def look(self) -> Deferred[None]:
        """Find connectors whose certificates end soon, and log all warnings."""
        until = self.now() + min(WARN_BEFORE, self.lifetime / 4)
        return self.store.read(connectors.ending, until).addCallback(self._found)

    def warnings(self) -> Sequence[Warned]:
        """Return warnings that name the certificate, and what to do."""
        now, found = self.now(), []
        begin = self.keys.authorities.serving.certificate.not_valid_before_utc
        authority = self.keys.authorities.all[0].certificate.not_valid_after_utc
        if now < begin:
            text = (
                f"the CA of pods and connectors is good from {begin:{_DAY}} on, so no connector "
                f"takes it now, {now:{_DAY}}: set the clock if it is wrong; if it was ahead when "
                "the CA was made, make another with `tunnelcloud authority rotate`, then "
                "`tunnelcloud authority retire --force`"
            )
            found.append(Warned(text, text))
        elif authority - now < WARN_BEFORE:
            text = (
                f"the CA of pods and connectors ends on {authority:{_DAY}}: make another with "
                "`tunnelcloud authority rotate`"
            )
            found.append(Warned(text, text))
        own = self.own_end()
        if own - now < min(WARN_BEFORE, POD_CERTIFICATE_LIFETIME / 4):
            text = f"this pod's certificate ends on {own:{_DAY}}: start the pod again"
            found.append(Warned(text, text))
        return [*found, *self._connectors, *self._web()]

    def _found(self, ending: connectors.EndingSoon) -> None:
        self._connectors = []
        if ending.count:
            more = f" and {ending.count - len(ending.names)} more"
            named = f"{', '.join(ending.names)}{more if ending.count > len(ending.names) else ''}"
            wrong = f"end by {ending.until:{_DAY}} and aren't renewed"
            advice = "have them reach a pod, or join anew"
            self._connectors = [
                Warned(
                    f"certificates of connectors {wrong}: {named}: {advice}",
                    f"certificates of connectors {wrong}, {ending.count} in all: the Settings page "
                    "names them",
                )
            ]
        for one in self.warnings():
            _log.warn("{text}", text=one.text)
