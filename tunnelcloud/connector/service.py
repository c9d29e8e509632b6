"""The connector as a service: joins if necessary, holds its links, renews its certificate, drains.

Only this module puts the connector's parts together.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud import daemon
from tunnelcloud.connector.allowed_targets import AccessList
from tunnelcloud.connector.dialer import Dialer
from tunnelcloud.connector.interfaces import IConnectorReactor, ILinksUser
from tunnelcloud.connector.joining import join, renew_late
from tunnelcloud.connector.link_keeper import LONGEST_DELAY, SHORTEST_DELAY
from tunnelcloud.connector.links import PodLinks
from tunnelcloud.connector.outgoing import Outgoing
from tunnelcloud.connector.state import BadState, ConnectorState, Membership
from tunnelcloud.connector.targets import Targets
from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused, JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.requests import RENEW, Hello
from tunnelcloud.link.tls import LinkTLS
from tunnelcloud.net.ended_connections import EndingReactor
from tunnelcloud.net.resolver import ThreadedResolver
from tunnelcloud.net.spreading import Spreading
from tunnelcloud.pki.authority import certificate_pin, clock_text
from tunnelcloud.pki.signing_requests import make_request

DRAIN_TIMEOUT = 30.0
"""Seconds that open channels have to end in when the connector stops."""

LONGEST_RENEWAL_DELAY = 300.0
"""Seconds at most between two attempts to renew a certificate that has ended."""

HOPELESS_RENEWAL_DELAY = 3600.0
"""Seconds at least between two, when the pod has said that it takes a new join token."""

CHANGE_SPREAD = 20.0
"""Seconds over which connectors spread their requests for certificates of a new CA."""

RENEWAL_RETRY = 60.0
"""Seconds at most after which an unsuccessful renewal is repeated."""

LONGEST_RENEWAL_WAIT = 3600.0
"""Seconds at most until the connector looks at the clock again to see whether it is time to renew.
The clock may be set meanwhile: a machine without a battery hears the time after its start."""


@implementer(ILinksUser)
class ConnectorService(Service):
    """A connector.

    :param token: to join with; not needed if the state directory has joined.  One that was
        redeemed before is not looked at, another one makes the connector join anew.
    :param give_up: called with a line that says why, when this can't go on.
    :param random: gives a number from 0 to 1, for jitter.
    :param outgoing: the way to pods; the direct one by default.
    :param drain_timeout: seconds that open channels have to end in.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IConnectorReactor,
        state: ConnectorState,
        token: JoinToken | None,
        access: AccessList,
        *,
        version: str,
        now: Callable[[], datetime],
        random: Callable[[], float],
        give_up: Callable[[str], None],
        outgoing: Outgoing | None = None,
        links_per_pod: int = 2,
        drain_timeout: float = DRAIN_TIMEOUT,
    ) -> None:
        self.membership: Membership | None = None
        self.links: PodLinks | None = None
        self._reactor = reactor
        self._state = state
        self._token = token
        self._access = access
        self._version = version
        self._now = now
        self._random = random
        self._give_up = give_up
        self._outgoing = outgoing or Outgoing(reactor)
        self._links_per_pod = links_per_pod
        self._drain_timeout = drain_timeout
        self._joining: Deferred[None] | None = None
        self._failures = 0
        self._timer: IDelayedCall | None = None

    def check(self) -> None:
        """Check whether this can start, before anything starts.

        :raise BadState: the state directory can't be used, or there is neither a membership in
            it nor a token.
        """
        membership = self._state.load()
        if self._has_to_join(membership):
            self._state.private_key()

    def startService(self) -> None:
        """Join if need be, then hold links."""
        super().startService()  # type: ignore[no-untyped-call]
        daemon.outlive_hangup(self._reactor, self._hung_up)
        try:
            membership = self._state.load()
            joining = self._has_to_join(membership)
        except BadState as error:
            self._give_up(str(error))
            return
        if membership is not None and self._state.why_unwritable:
            self._log.warn(
                "{directory} can't be written ({why}): this goes on until the certificate ends at "
                "{end}, and can't renew it",
                directory=self._state.directory,
                why=self._state.why_unwritable,
                end=membership.certificate.not_valid_after_utc.isoformat(),
            )
        if joining or membership is None:
            self._join()
        else:
            self._begin(membership)
        # No pod may be there yet: it is dialled until one is, as after any loss.
        daemon.tell_ready(self._reactor)

    def _hung_up(self) -> None:
        self._log.info("a connector reloads nothing: restart it to have connector.toml read anew")

    def stopService(self) -> "Deferred[None] | None":
        """Take no new channels, let open ones end for a while, then cut them off."""
        daemon.notify("STOPPING=1")
        super().stopService()  # type: ignore[no-untyped-call]
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._joining is not None:
            self._joining.cancel()
        if self.links is None:
            return None
        links = self.links
        stopping = links.stop()
        cut = self._reactor.callLater(self._drain_timeout, links.cut, "the connector has stopped")

        def stopped(_: object) -> None:
            if cut.active():
                cut.cancel()

        return stopping.addCallback(stopped)

    def _has_to_join(self, membership: Membership | None) -> bool:
        if self._token is not None:
            return membership is None or membership.token_hash != self._token.secret_hash
        if membership is None:
            raise BadState(
                f"{self._state.directory} has not joined a pod: start it once with "
                "--join-file and the token of `tunnelcloud connector create NAME --site SITE`"
            )
        return False

    # Joining.

    def _join(self) -> None:
        assert self._token is not None
        self._timer = None
        joining = join(self._outgoing, self._token, self._state, self._version, self._now)
        self._joining = joining.addCallbacks(self._joined, self._not_joined)

    def _joined(self, membership: Membership) -> None:
        self._joining = None
        self._log.info("joined as {connector}", connector=membership.connector_id)
        self._begin(membership)

    def _not_joined(self, failure: Failure) -> None:
        self._joining = None
        if not self.running:
            return
        error = failure.value
        final = isinstance(error, BadState) or (
            isinstance(error, JoinRefused) and error.problem is not JoinProblem.UNAVAILABLE
        )
        if final:
            self._give_up(str(error))
            return
        assert self._token is not None
        self._log.warn(
            "pod {pod} can't be joined yet: {why}",
            pod=self._token.address,
            why=failure.getErrorMessage(),
        )
        self._again_later(self._join, LONGEST_DELAY)

    def _again_later(self, work: Callable[[], None], longest: float, at_least: float = 0.0) -> None:
        delay = min(longest, SHORTEST_DELAY * 2 ** min(self._failures, 20))
        self._failures += 1
        self._timer = self._reactor.callLater(at_least + delay * (0.5 + self._random()), work)

    # Being a member.

    def _begin(self, membership: Membership) -> None:
        self.membership = membership
        self._failures = 0
        if self._has_ended(membership):
            self._renew_late()
        else:
            self._run(membership)

    def _has_ended(self, membership: Membership) -> bool:
        return self._now() >= membership.certificate.not_valid_after_utc

    def _renew_late(self) -> None:
        """Ask the pods, one after the other, for a certificate in place of the one that ended."""
        membership = self.membership
        assert membership is not None
        self._timer = None
        if not self._has_ended(membership):
            # The clock was ahead, and has been set.
            self._go_on(membership)
            return
        pod = membership.pods[self._failures % len(membership.pods)]
        # Pods show a certificate of the CA before until it goes, and then of the newest.
        known = membership.authorities
        authority = known[-1 - self._failures // len(membership.pods) % len(known)]
        asking = renew_late(self._outgoing, pod, membership, authority, self._now)
        self._joining = asking.addCallback(self._renewed_late)
        self._joining.addErrback(self._not_renewed, pod)

    def _renewed_late(self, certificate_pem: bytes) -> None:
        self._joining = None
        self._keep_renewed(certificate_pem)

    def _not_renewed(self, failure: Failure, pod: PublicAddress) -> None:
        self._joining = None
        membership = self.membership
        if not self.running or membership is None:
            return
        self._log.error(
            "the certificate is {text}; pod {pod} did not renew it: {why}",
            text=clock_text(membership.certificate, self._now()),
            pod=pod,
            why=failure.getErrorMessage(),
        )
        self._again_later(
            self._renew_late,
            LONGEST_RENEWAL_DELAY,
            HOPELESS_RENEWAL_DELAY if _is_hopeless(failure) else 0.0,
        )

    def _run(self, membership: Membership) -> None:
        milliseconds = int(self._now().timestamp() * 1000)
        instance = f"{milliseconds:012x}-{os.urandom(8).hex()}"
        targets: Any = EndingReactor(self._reactor, Spreading(self._reactor))
        dialer = Dialer(targets, self._access, ThreadedResolver(self._reactor))
        self.links = PodLinks(
            self._reactor,
            self._outgoing,
            _tls(membership),
            Hello(membership.connector_id, self._version, instance=instance),
            Targets(dialer, self._reactor),
            self,
            self._now,
            self._random,
            self._links_per_pod,
        )
        self.links.dial(membership.pods)
        self._renew_in_time(membership)

    def _renew_in_time(self, membership: Membership) -> None:
        wait = (membership.renew_at - self._now()).total_seconds()
        if not membership.is_of_newest:
            wait = min(wait, CHANGE_SPREAD * self._random())
        if wait > LONGEST_RENEWAL_WAIT:
            self._timer = self._reactor.callLater(
                LONGEST_RENEWAL_WAIT, self._renew_in_time, membership
            )
            return
        self._timer = self._reactor.callLater(max(0.0, wait), self._renew)

    def _renew(self) -> None:
        assert self.membership is not None
        assert self.links is not None
        membership = self.membership
        left = (membership.certificate.not_valid_after_utc - self._now()).total_seconds()
        if left <= 0:
            # No pod accepts links with it: each attempt would add a penalty to this address.
            self.links.rest()
            self._renew_late()
            return
        csr = make_request(membership.private_key_pem).decode("ascii")
        trusted = [certificate_pin(one).hex() for one in membership.authorities]
        self.links.request(RENEW, {"certificate_request": csr, "trusts": trusted})
        retry = min(RENEWAL_RETRY, max(1.0, left / 10))
        self._timer = self._reactor.callLater(retry * (0.5 + self._random()), self._renew)

    # ILinksUser.

    def pods_known(self, pods: Sequence[PublicAddress]) -> None:
        """Keep where the pods are."""
        assert self.membership is not None
        if tuple(pods) != self.membership.pods:
            try:
                self._state.keep_pods(pods)
            except BadState as error:
                self._log.error("{error}", error=error)

    def certificate_renewed(self, certificate_pem: bytes) -> bool:
        """Keep a new certificate, and use it for new links."""
        try:
            self._keep_renewed(certificate_pem)
        except BadState as error:
            self._log.error("the certificate was not renewed: {error}", error=error)
            return False
        return True

    def _keep_renewed(self, certificate_pem: bytes) -> None:
        membership = self.membership = self._state.renew(certificate_pem)
        if self._has_ended(membership):
            raise BadState(f"the new one is {clock_text(membership.certificate, self._now())}")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._log.info(
            "the certificate was renewed until {end}",
            end=membership.certificate.not_valid_after_utc.isoformat(),
        )
        self._go_on(membership)

    def _go_on(self, membership: Membership) -> None:
        """Link to the pods by a certificate that is good."""
        if self.links is None:
            self._begin(membership)
            return
        self._failures = 0
        self.links.tls = _tls(membership)
        self.links.resume()
        self._renew_in_time(membership)

    def authorities_known(self, ca_pem: bytes) -> bool:
        """Trust other CAs, for new links, and ask for a certificate of the newest."""
        assert self.membership is not None
        if ca_pem == self.membership.ca_pem:
            return True
        try:
            membership = self._state.keep_authorities(ca_pem)
        except BadState as error:
            self._log.error("the CAs of the pods are not taken: {error}", error=error)
            return False
        assert self.links is not None
        self.membership = membership
        self.links.tls = _tls(membership)
        if self._timer is not None:
            self._timer.cancel()
            self._renew_in_time(membership)
        self._log.info(
            "pods of {count} CAs are trusted from now on", count=len(membership.authorities)
        )
        return True


def _is_hopeless(failure: Failure) -> bool:
    """Whether another attempt is useless until somebody fixes the cause."""
    refused = failure.value
    return isinstance(refused, JoinRefused) and refused.problem in (
        JoinProblem.ENDED,
        JoinProblem.REVOKED,
    )


def _tls(membership: Membership) -> LinkTLS:
    return LinkTLS(membership.ca_pem, membership.certificate_pem, membership.private_key_pem)
