"""Checks every hop on the way to a target: grant, policy, connector, name, connect, TLS.

``ssh pod doctor``, ``/tunnels/{id}/check`` and the portals show what this finds.  For the last hop
the pod opens a channel to the target through a connector and closes it again, with a check by TLS
after the target has shown its certificate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import datetime

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.defer import TimeoutError as NotInTime
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.addresses import is_address
from tunnelcloud.domain.dial_failures import DialFailure, failure_text
from tunnelcloud.domain.objects.sites import TargetCheck, Tunnel
from tunnelcloud.domain.policy import Decision
from tunnelcloud.domain.ssh_command import bracketed
from tunnelcloud.pod.certificate_probe import Handshake
from tunnelcloud.pod.interfaces import IAttachedLink, ILinks
from tunnelcloud.pod.router import OPEN_TIMEOUT
from tunnelcloud.pod.target_probe import Probe
from tunnelcloud.ssh.interfaces import DoctorStep

AT_ONCE = 4
"""How many channels may be open, or pending, to check one tunnel; further checks wait."""


class Doctor:
    """Checks the way from this pod to targets."""

    def __init__(self, links: ILinks, clock: IReactorTime, now: Callable[[], datetime]) -> None:
        """:param now: the time of day."""
        self._links = links
        self._clock = clock
        self._now = now
        self._turns: dict[str, DeferredSemaphore] = {}

    async def check(
        self, tunnel: Tunnel, port: int, decision: Decision | None = None
    ) -> AsyncIterator[DoctorStep]:
        """Yield the steps; end after the first that failed.

        :param decision: the decision for the user who asks; None leaves these steps out.
        """
        if decision is not None:
            for rule in decision.rules:
                yield DoctorStep(rule.rule, rule.passed, 0.0, rule.text)
            if not decision.allowed:
                return
        link = self._links.pick(tunnel.site_id)
        if link is None:
            text = failure_text(
                DialFailure.NO_CONNECTOR, tunnel.target_address, port, tunnel.site_name
            )
            yield DoctorStep("connector", False, 0.0, text)
            return
        began = self._clock.seconds()
        try:
            await _answered(link).addTimeout(OPEN_TIMEOUT, self._clock)
        except NotInTime:
            text = f"a connector of site {tunnel.site_name} doesn't answer"
            yield DoctorStep("connector", False, OPEN_TIMEOUT * 1000, text)
            return
        milliseconds = (self._clock.seconds() - began) * 1000
        answers = f"site {tunnel.site_name} answers"
        if link.way not in ("", "directly"):
            answers = f"{answers} {link.way}"
        yield DoctorStep("connector", True, milliseconds, answers)
        await self._turn(tunnel.id)
        began = self._clock.seconds()
        handshake = None
        if tunnel.target_check is TargetCheck.TLS:
            handshake = Handshake(tunnel.target_address)
        probe = Probe(self._clock, handshake)
        # The place is taken as long as the channel lasts, even if nobody waits for the result: an
        # open can't be withdrawn, and nobody may start thousands by leaving each at once.
        probe.over.addCallback(self._turn_over, tunnel.id)
        probe.open(link, tunnel.target_address, port)
        outcome = await probe.opened_or_not
        milliseconds = (self._clock.seconds() - began) * 1000
        if not outcome:
            text = f"connected to {bracketed(tunnel.target_address)}:{port}"
            yield DoctorStep("connect", True, milliseconds, text)
            if handshake is not None:
                yield await self._looked(probe, handshake)
            return
        failure = DialFailure.read(outcome)
        of_name = failure in (DialFailure.NAME_NOT_FOUND, DialFailure.NAME_LOOKUP_FAILED)
        name = "name" if of_name and not is_address(tunnel.target_address) else "connect"
        text = failure_text(failure, tunnel.target_address, port, tunnel.site_name)
        yield DoctorStep(name, False, milliseconds, text)

    def _turn(self, tunnel_id: str) -> Deferred[DeferredSemaphore]:
        return self._turns.setdefault(tunnel_id, DeferredSemaphore(AT_ONCE)).acquire()

    def _turn_over(self, _: None, tunnel_id: str) -> None:
        turns = self._turns[tunnel_id]
        turns.release()
        if turns.tokens == AT_ONCE:
            del self._turns[tunnel_id]

    async def _looked(self, probe: Probe, handshake: Handshake) -> DoctorStep:
        fault = await probe.looked
        milliseconds = probe.handshake_seconds * 1000
        certificate = handshake.certificate
        if certificate is None:
            return DoctorStep("tls", False, milliseconds, fault)
        now = self._now()
        return DoctorStep(
            "tls",
            certificate.is_good(now),
            milliseconds,
            certificate.text(now),
            certificate.warning(now),
            certificate,
        )


def _answered(link: IAttachedLink) -> Deferred[bytes | None]:
    """Fire when the connector has answered a request, whatever it says."""
    answer: Deferred[bytes | None] = Deferred()

    def told(reply: bytes | None) -> None:
        answer.callback(reply)

    link.multiplexer.send_global_request(b"ping@tunnelcloud", b"{}", told)
    return answer
