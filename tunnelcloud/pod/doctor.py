"""Checks every hop on the way to a target: grant, policy, connector, name, connect.

C{ssh pod doctor}, C{/tunnels/{id}/check} and the portals show what this finds.  The last hop is
tried for real: a channel to the target is opened through a connector and closed again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IChannelUser
from tunnelcloud.domain.dialing import DialFailure, failure_text
from tunnelcloud.domain.entities import Tunnel
from tunnelcloud.domain.names import is_address
from tunnelcloud.domain.policy import Decision
from tunnelcloud.pod.interfaces import IAttachedLink, ILinks
from tunnelcloud.pod.router import OPEN_TIMEOUT, direct_tcpip
from tunnelcloud.ssh.interfaces import DoctorStep


@implementer(IChannelUser)
class _Probe:
    """A channel that is opened to see whether it can be, and closed again."""

    def __init__(self) -> None:
        self.channel: IChannel | None = None
        self.outcome: Deferred[str] = Deferred()

    def opened(self) -> None:
        if self.channel is not None:
            self.channel.close()
        self._tell("")

    def open_failed(self, reason_code: int, description: str) -> None:
        self._tell(description)

    def data_received(self, data: memoryview) -> None:
        """The target spoke first; it isn't listened to."""

    def eof_received(self) -> None:
        """The channel is about to be closed anyway."""

    def request_received(self, request_type: bytes, data: bytes) -> bool:
        return False

    def drained(self, count: int) -> None:
        raise AssertionError("nothing is sent")

    def closed(self, clean: bool, reason: str) -> None:
        self._tell(reason)

    def _tell(self, outcome: str) -> None:
        if not self.outcome.called:
            self.outcome.callback(outcome)


class Doctor:
    """Checks the way from this pod to targets."""

    def __init__(self, links: ILinks, clock: IReactorTime) -> None:
        self._links = links
        self._clock = clock

    async def check(
        self, tunnel: Tunnel, port: int, decision: Decision | None = None
    ) -> AsyncIterator[DoctorStep]:
        """Give a step at a time; ends after the first that failed.

        :param decision: what the policies say to whoever asks; None leaves these steps out.
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
        await _answered(link)
        milliseconds = (self._clock.seconds() - began) * 1000
        yield DoctorStep("connector", True, milliseconds, f"site {tunnel.site_name} answers")
        began = self._clock.seconds()
        outcome = await self._dial(link, tunnel, port)
        milliseconds = (self._clock.seconds() - began) * 1000
        if not outcome:
            text = f"connected to {tunnel.target_address}:{port}"
            yield DoctorStep("connect", True, milliseconds, text)
            return
        failure = DialFailure.read(outcome)
        of_name = failure in (DialFailure.NAME_NOT_FOUND, DialFailure.NAME_LOOKUP_FAILED)
        name = "name" if of_name and not is_address(tunnel.target_address) else "connect"
        text = failure_text(failure, tunnel.target_address, port, tunnel.site_name)
        yield DoctorStep(name, False, milliseconds, text)

    def _dial(self, link: IAttachedLink, tunnel: Tunnel, port: int) -> Deferred[str]:
        probe = _Probe()
        data = direct_tcpip(tunnel.target_address, port, ("127.0.0.1", 0))
        channel = link.multiplexer.open_channel(b"direct-tcpip", data, probe)
        probe.channel = channel
        timeout = self._clock.callLater(OPEN_TIMEOUT, channel.close, DialFailure.TIMED_OUT.value)

        def stop(outcome: str) -> str:
            if timeout.active():
                timeout.cancel()
            return outcome

        return probe.outcome.addCallback(stop)


def _answered(link: IAttachedLink) -> Deferred[bytes | None]:
    """Fire when the connector has answered a request, whatever it says."""
    answer: Deferred[bytes | None] = Deferred()

    def told(reply: bytes | None) -> None:
        answer.callback(reply)

    link.multiplexer.send_global_request(b"ping@tunnelcloud", b"{}", told)
    return answer
