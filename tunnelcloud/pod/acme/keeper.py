"""Keeps the web's certificate: serves the one in the store, and orders the next one in time.

Every pod looks regularly; the one that gets the lease orders, in a thread of its own, and all of
them serve the new certificate.  A certificate is renewed after two thirds of its life, and when a
pod starts for which other names or another authority are set.  Pods whose settings differ don't
order in turn: a pod that sees another pod's certificate logs it, and serves it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from attrs import define, field
from OpenSSL import SSL
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import Logger

from tunnelcloud.pki.authority import UNREADABLE
from tunnelcloud.pki.sealing import CannotUnseal, Sealer
from tunnelcloud.pod.acme.challenges import Answers
from tunnelcloud.pod.acme.stored_certificate import Kept
from tunnelcloud.pod.web_certificate import ShownCertificate
from tunnelcloud.settings.web import AcmeSettings
from tunnelcloud.store import web_certificates
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreError
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.store.web_certificates import KeptCertificate
from tunnelcloud.web.interfaces import CertificateState

if TYPE_CHECKING:
    from tunnelcloud.pod.acme.ordering import Issued

LEASE_SECONDS = 600.0
"""Seconds in which no other pod orders; an order takes less."""

FIRST_PAUSE = 60.0
LONGEST_PAUSE = 6 * 3600.0
"""Seconds before an order that failed is tried again, at first and at most."""

LONGEST_CHAIN = 32 * 1024
"""Bytes of the longest chain that is shown.  Each handshake sends the chain whole, and browsers
refuse chains that are much longer."""

HEAD_START = 2.0
"""Seconds in which other pods learn the answers before the authority looks for them."""

_ACCOUNT, _CERTIFICATE, _ANSWERS = "acme account", "acme certificate", "acme answers"
_log = Logger()


def run_in_thread(work: Callable[[], None]) -> None:
    """Run in a thread that doesn't keep the program from ending."""
    threading.Thread(target=work, name="acme", daemon=True).start()


@define(eq=False)
class CertificateKeeper:
    """Looks after the certificate on one pod.

    :ivar store: for the reactor's thread; its own ``store`` serves the thread that orders.
    :ivar shown: where the certificate is shown.
    :ivar answers: what this pod answers to challenges.
    :ivar is_shared: whether other pods may answer instead.
    :ivar start: runs an order in a thread.
    """

    settings: AcmeSettings
    names: Sequence[str]
    pod_id: str
    store: AsyncStore
    sealer: Sealer
    shown: ShownCertificate
    answers: Answers
    reactor: IReactorFromThreads
    now: Callable[[], datetime]
    is_shared: bool
    start: Callable[[Callable[[], None]], None] = run_in_thread
    failures: int = field(default=0, init=False)
    _fault: str = field(default="", init=False)
    _content: bytes | None = field(default=None, init=False)
    _kept: Kept | None = field(default=None, init=False)
    _has_looked: bool = field(default=False, init=False)
    _came_meanwhile: bool = field(default=False, init=False)
    _ordering: bool = field(default=False, init=False)
    _looking: DeferredLock = field(factory=DeferredLock, init=False)

    async def look(self) -> None:
        """Show what is in the store, and begin an order if one is due; one look at a time.

        A look that has read the store before an order was over must not begin another.
        """
        await self._looking.acquire()
        try:
            await self._look()
        finally:
            self._looking.release()

    async def _look(self) -> None:
        found = await self.store.read(web_certificates.load)
        try:
            self._take(found)
        except CannotUnseal as error:
            self._fault = str(error)
            return
        if self._ordering or not self._is_due():
            return
        holder = f"{self.pod_id} {os.urandom(16).hex()}"
        if await self.store.write(
            web_certificates.take_lease, holder, LEASE_SECONDS, pod_id=self.pod_id
        ):
            self._ordering = True
            _log.info("orders a certificate for {names}", names=", ".join(self.names))
            self.start(partial(self._order, holder, found.account))

    def changed(self, change: Change | Resync) -> None:
        """Hear of a change from the change feed: another pod may order, or have ordered."""
        if isinstance(change, Resync) or change.kind == web_certificates.KIND:
            self.look_soon()

    def look_soon(self) -> None:
        """Look now; log a failure, since the next look comes anyway."""
        looking = Deferred.fromCoroutine(self.look())
        looking.addErrback(
            lambda failure: _log.warn(
                "the web's certificate can't be looked up: {why}", why=failure.getErrorMessage()
            )
        )

    def outline(self) -> str | None:
        """Return a warning without details, which anybody may read; None if all is well."""
        if not self._wrong():
            return None
        return "the web's certificate is in trouble: the log and the Settings page say why"

    def is_late(self) -> bool:
        """Tell whether the certificate's renewal is overdue."""
        return self._kept is not None and self.now() >= self._kept.late_at()

    def state(self) -> CertificateState:
        """Return the certificate's state."""
        return CertificateState(
            names=tuple(self.names),
            ends_at=self.shown.ends_at,
            renews_at=None if self._kept is None else self._kept.renew_at(),
            directory=self.settings.directory,
            fault=self._wrong(),
        )

    def _wrong(self) -> str:
        """Return a warning for administrators; empty if all is well."""
        if self._fault:
            return self._fault
        if self._kept is not None and self._came_meanwhile and not self._is_as_set(self._kept):
            return (
                f"the certificate is for {', '.join(sorted(self._kept.names()))} by "
                f"{self._kept.directory}, which another pod is set to: give all pods the same "
                "public_url and [web.acme]"
            )
        return ""

    def _take(self, found: KeptCertificate) -> None:
        """Serve the certificate in the store."""
        self._fault, self.failures = found.fault, found.failures
        if found.answers is None:
            self.answers.replace({})
        else:
            self.answers.replace(json.loads(self.sealer.open(found.answers, _ANSWERS)))
        came_meanwhile, self._has_looked = self._has_looked, True
        if found.content is None or found.content == self._content:
            return
        kept = Kept(**json.loads(self.sealer.open(found.content, _CERTIFICATE)))
        self.shown.show(kept.context(), kept.certificate.not_valid_after_utc)
        self._content, self._kept, self._came_meanwhile = found.content, kept, came_meanwhile
        _log.info(
            "shows the certificate for {names}, which ends at {ends}",
            names=", ".join(sorted(kept.names())),
            ends=kept.certificate.not_valid_after_utc.isoformat(),
        )

    def _is_due(self) -> bool:
        kept = self._kept
        if kept is None or self.now() >= kept.renew_at():
            return True
        return not (self._came_meanwhile or self._is_as_set(kept))

    def _is_as_set(self, kept: Kept) -> bool:
        return kept.directory == self.settings.directory and kept.names() == set(self.names)

    def _order(self, holder: str, account: bytes | None) -> None:
        """Order, in a thread of its own."""
        # The library loads another HTTP client: only a pod that orders has it.
        from tunnelcloud.pod.acme.ordering import Notebook, OrderFailed, asking, order

        write, seal = self.store.store.write, self.sealer.seal_for_all

        def publish(answers: Mapping[str, str]) -> None:
            sealed = seal(json.dumps(answers).encode("ascii"), _ANSWERS)
            write(web_certificates.publish, holder, sealed)
            heard = threading.Event()
            self.reactor.callFromThread(self._answer, answers, heard)
            heard.wait(HEAD_START)
            if self.is_shared:
                threading.Event().wait(HEAD_START)

        def keep_account(made: bytes) -> None:
            write(web_certificates.keep_account, holder, seal(made, _ACCOUNT))

        try:
            known = None if account is None else self.sealer.open(account, _ACCOUNT)
            notebook = Notebook(publish, keep_account)
            ask = asking(self.reactor, self.settings.ca)
            issued = order(self.settings, self.names, known, notebook, ask)
            self._keep(holder, issued)
        except OrderFailed as error:
            self._fail(holder, str(error), error.wait)
        except (StoreError, CannotUnseal) as error:
            self._fail(holder, str(error), 0.0)
        except Exception as error:
            _log.failure("an order of a certificate failed")
            self._fail(holder, str(OrderFailed(f"{type(error).__name__}: {error}")), 0.0)
        finally:
            self.reactor.callFromThread(self._over)

    def _answer(self, answers: Mapping[str, str], heard: threading.Event) -> None:
        self.answers.replace(answers)
        heard.set()

    def _keep(self, holder: str, issued: Issued) -> None:
        from tunnelcloud.pod.acme.ordering import OrderFailed

        assert self.settings.directory is not None
        if len(issued.chain) > LONGEST_CHAIN:
            raise OrderFailed(
                "what the authority issued can't be used: its chain is longer than "
                f"{LONGEST_CHAIN} bytes"
            )
        content = {
            "directory": self.settings.directory,
            "chain": issued.chain.decode("ascii"),
            "private_key": issued.private_key.decode("ascii"),
        }
        try:
            kept = Kept(**content)
            kept.context()
        except (*UNREADABLE, SSL.Error) as error:
            raise OrderFailed(f"what the authority issued can't be used: {error}") from None
        if kept.names() != set(self.names) or self.now() >= kept.renew_at():
            raise OrderFailed(
                f"the authority issued a certificate for {', '.join(sorted(kept.names())) or '?'} "
                f"that is to be renewed at {kept.renew_at():%Y-%m-%d %H:%M} UTC already, or is for "
                "other names: check this machine's clock and web.acme.names"
            )
        self.store.store.write(
            web_certificates.keep,
            holder,
            self.sealer.seal_for_all(json.dumps(content).encode("ascii"), _CERTIFICATE),
            names=", ".join(self.names),
            ends_at=kept.certificate.not_valid_after_utc.isoformat(),
        )

    def _fail(self, holder: str, line: str, wait: float) -> None:
        _log.warn("no certificate for {names}: {line}", names=", ".join(self.names), line=line)
        try:
            self.store.store.write(
                web_certificates.fail,
                holder,
                line,
                first=max(FIRST_PAUSE, wait),
                longest=LONGEST_PAUSE,
            )
        except StoreError as error:
            _log.warn("the order that failed can't be written down: {why}", why=str(error))

    def _over(self) -> None:
        self._looking.run(self._end_order).addBoth(lambda _: self.look_soon())

    def _end_order(self) -> None:
        self._ordering = False
