"""TLS for the web by the pod itself: with a certificate of files, or by ACME."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory

from tunnelcloud.domain.target_certificates import ENDS_SOON
from tunnelcloud.net.handshake_queue import HandshakeQueue
from tunnelcloud.pod.one_port import Front
from tunnelcloud.pod.preparation import Foundation
from tunnelcloud.pod.web_certificate import (
    CHECK_SECONDS,
    ShownCertificate,
    WebCertificate,
    check_trusted,
)
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.interfaces import CertificateState, Warned

if TYPE_CHECKING:
    from tunnelcloud.pod.acme.challenges import Answers
    from tunnelcloud.pod.acme.keeper import CertificateKeeper

LOOK_SECONDS = 30.0
"""How often a pod with ACME looks whether a certificate is due."""


class WebTLS:
    """What one pod has for it; without a certificate in the settings, nothing.

    :ivar answers: those to an authority's challenges; None without ACME.
    :raise CannotServe: the files of the settings can't be used.
    """

    def __init__(
        self,
        reactor: Any,
        foundation: Foundation,
        store: AsyncStore,
        now: Callable[[], datetime],
    ) -> None:
        settings = foundation.settings.web
        self._reactor = reactor
        self._now = now
        self._turns = HandshakeQueue(reactor)
        check_trusted(settings.acme)
        self._files = WebCertificate.of(settings)
        self._keeper: CertificateKeeper | None = None
        self._shown: ShownCertificate | None = self._files
        self.answers: Answers | None = None
        if settings.acme.directory is not None:
            # Most pods have no use for these.
            from tunnelcloud.pod.acme.challenges import Answers
            from tunnelcloud.pod.acme.keeper import CertificateKeeper

            self._shown, self.answers = ShownCertificate(), Answers()
            self._keeper = CertificateKeeper(
                settings=settings.acme,
                names=settings.certificate_names(),
                pod_id=foundation.seat.pod_id,
                store=store,
                sealer=foundation.sealer,
                shown=self._shown,
                answers=self.answers,
                reactor=reactor,
                now=now,
                is_shared=foundation.database_file is None,
            )

    def before(self, web: IProtocolFactory) -> IProtocolFactory | None:
        """Put TLS before the web; None where the pod has no certificate for it."""
        return None if self._shown is None else self._shown.before(web, self._reactor, self._turns)

    def door(self, web: IProtocolFactory, portal: str, room: int) -> Front:
        """Make what listens for the web alone, with the pod's certificate.

        :param portal: the portal's address.
        :param room: how many connections may not be told apart yet.
        """
        return Front(
            ssh=None,
            connectors=None,
            web=self.before(web),
            portal=portal,
            clock=self._reactor,
            room=room,
            answers=self.answers,
        )

    def works(self) -> dict[str, tuple[Callable[[], object], float]]:
        """Give the periodic work."""
        if self._keeper is not None:
            return {"certificate": (self._keeper.look, LOOK_SECONDS)}
        if self._files is not None:
            return {"certificate": (self._files.check, CHECK_SECONDS)}
        return {}

    def reload(self) -> None:
        """Look at once whether there is another certificate."""
        if self._keeper is not None:
            self._keeper.look_soon()
        elif self._files is not None:
            self._files.reload()

    def changed(self, change: Change | Resync) -> None:
        """Take a notice from the change feed."""
        if self._keeper is not None:
            self._keeper.changed(change)

    def ends(self) -> dict[str, datetime]:
        """Tell when the certificate ends, under its name."""
        ends = None if self._shown is None else self._shown.ends_at
        return {} if ends is None else {"web": ends}

    def is_ending(self) -> bool:
        """Tell whether the certificate ends soon, although one by ACME should have been renewed."""
        if self._keeper is not None:
            return self._keeper.is_late()
        ends = None if self._shown is None else self._shown.ends_at
        return ends is not None and ends - self._now() <= ENDS_SOON

    def warnings(self) -> list[Warned]:
        """Say that the certificate ends soon, or has ended, and what to do."""
        ends = None if self._shown is None else self._shown.ends_at
        if ends is None or not self.is_ending():
            return []
        verb = "ended" if ends <= self._now() else "ends"
        advice = "the log says why it isn't renewed" if self._keeper else "replace its files"
        text = f"the web's certificate {verb} on {ends:%Y-%m-%d}: {advice}"
        return [Warned(text, text)]

    def failures(self) -> int:
        """Count the orders that failed since the last good one."""
        return 0 if self._keeper is None else self._keeper.failures

    def outline(self) -> str | None:
        """Say for anybody that there is no new certificate; None for nothing."""
        return None if self._keeper is None else self._keeper.outline()

    def state(self) -> CertificateState | None:
        """Return the state of a certificate by ACME."""
        return None if self._keeper is None else self._keeper.state()
