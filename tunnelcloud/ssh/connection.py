"""The connection service: one session's channels, signs of life and limits.

The channel machine replaces Conch's, which confirms before it connects, loses EOF, and bounds
neither channels nor buffers.  The avatar decides where a forward leads; session channels show the
greeting; everything else is refused.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.conch.ssh.service import SSHService
from twisted.conch.ssh.transport import DISCONNECT_BY_APPLICATION
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from tunnelcloud.channels.interfaces import IChannel, IConnectionUser
from tunnelcloud.channels.messages import (
    OPEN_ADMINISTRATIVELY_PROHIBITED,
    OPEN_RESOURCE_SHORTAGE,
    OPEN_UNKNOWN_CHANNEL_TYPE,
    DirectTcpip,
)
from tunnelcloud.channels.multiplexer import Multiplexer
from tunnelcloud.channels.windows import CreditAccount
from tunnelcloud.net.allowance import Allowance
from tunnelcloud.net.escaping import escape
from tunnelcloud.ssh.greeting import Greeting
from tunnelcloud.ssh.host_key_proofs import HOST_KEYS, PROVE, learns, told
from tunnelcloud.ssh.interfaces import ISessionAvatar, ISessionConnection
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.session_commands import misses_an_end

if TYPE_CHECKING:
    from tunnelcloud.ssh.transport import FrontDoorTransport

_IDLE_CHECKS = 8
_KNOWN_CHANNEL_TYPES = (
    b"x11",
    b"forwarded-tcpip",
    b"auth-agent@openssh.com",
    b"direct-streamlocal@openssh.com",
    b"forwarded-streamlocal@openssh.com",
    b"tun@openssh.com",
)


@implementer(IConnectionUser, ISessionConnection)
class ConnectionService(SSHService):
    """One session's ``ssh-connection``.

    :param account: the credit that the session's channels are granted from.
    :param logout: cred's, called once the session is over.
    """

    name = b"ssh-connection"
    transport: "FrontDoorTransport"

    def __init__(
        self,
        avatar: ISessionAvatar,
        logout: Callable[[], object],
        clock: IReactorTime,
        limits: Limits,
        account: CreditAccount,
    ) -> None:
        self._avatar = avatar
        self._logout = logout
        self._clock = clock
        self._limits = limits
        self._account = account
        self._greetings: set[Greeting] = set()
        self._more_sessions = True
        self._has_proven = False
        self._stopped = False
        self._unanswered = 0
        self._idle_checks = 0
        self._calls: dict[str, IDelayedCall] = {}

    @property
    def source(self) -> str:
        """See ``ISessionConnection``."""
        return self.transport.source

    # The service's life.

    def serviceStarted(self) -> None:
        """Open the session."""
        self._started = self._clock.seconds()
        self.transport.session_id = self._avatar.session_id
        self.transport.user_id = self._avatar.user_id
        self._multiplexer = self.transport.multiplexer = Multiplexer(
            self.transport,
            self,
            account=self._account,
            max_channels=self._limits.forwards + self._limits.session_channels,
            path=self.transport.path,
            affords=Allowance(
                self._clock, self._limits.requests, self._limits.requests_per_second
            ).take,
            spread=self.transport.factory.spreading.run,
        )
        self._schedule("life", self._limits.keepalive_seconds, self._check_life)
        if learns(self.transport.client_version):
            self._multiplexer.send_global_request(HOST_KEYS, told(self.transport.host_keys))
        self._avatar.attached(self)

    def serviceStopped(self) -> None:
        """End the session: its channels, then the user's."""
        self._stopped = True
        for call in self._calls.values():
            if call.active():
                call.cancel()
        reason = self.transport.end_reason
        self._multiplexer.connection_lost(
            reason, self.transport.said_goodbye, lambda: self._leave(reason)
        )

    def _leave(self, reason: str) -> None:
        try:
            self._avatar.logged_out(reason)
        finally:
            self._logout()

    # What the pod may do: ISessionConnection.

    def end(self, reason: str) -> None:
        """See ``ISessionConnection``."""
        self.transport.sendDisconnect(DISCONNECT_BY_APPLICATION, reason)

    def limit(self, idle_seconds: float | None, session_seconds: float | None) -> None:
        """See ``ISessionConnection``."""
        if self._stopped:  # and its channels are still ending
            return
        for name in ("idle", "session"):
            call = self._calls.pop(name, None)
            if call is not None and call.active():
                call.cancel()
        if idle_seconds is not None:
            self._idle_checks = 0
            self._schedule("idle", idle_seconds / _IDLE_CHECKS, self._check_idle, idle_seconds)
        if session_seconds is not None:
            left = max(0.0, self._started + session_seconds - self._clock.seconds())
            self._schedule("session", left, self.end, "the longest time for a session has passed")

    # What the client asks: IConnectionUser.

    def channel_open_requested(self, channel: IChannel, channel_type: bytes, data: bytes) -> None:
        """See ``IConnectionUser``."""
        if channel_type == b"direct-tcpip":
            self._forward_requested(channel, data)
        elif channel_type == b"session":
            self._greeting_requested(channel)
        elif channel_type in _KNOWN_CHANNEL_TYPES:
            channel.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, "only TCP forwards are served")
        else:
            channel.refuse(OPEN_UNKNOWN_CHANNEL_TYPE, "unknown channel type")

    def global_request_received(self, name: bytes, data: bytes) -> bytes | None:
        """See ``IConnectionUser``."""
        if name == b"keepalive@openssh.com":
            return b""
        if name == b"no-more-sessions@openssh.com":
            self._more_sessions = False
            return b""
        if name == PROVE and not self._has_proven:
            # Signatures cost time, and a client needs to learn the keys only once.
            self._has_proven = True
            return self.transport.prove_host_keys(data)
        return None

    def _forward_requested(self, channel: IChannel, data: bytes) -> None:
        request = DirectTcpip.decode(data)
        if self._multiplexer.channel_count - len(self._greetings) > self._limits.forwards:
            channel.refuse(
                OPEN_RESOURCE_SHORTAGE, f"more than {self._limits.forwards} forwards at once"
            )
            return
        originator = (escape(request.originator_host), request.originator_port)
        self._avatar.direct_tcpip_requested(channel, request.host, request.port, originator)

    def _greeting_requested(self, channel: IChannel) -> None:
        if not self._more_sessions:
            channel.refuse(OPEN_ADMINISTRATIVELY_PROHIBITED, "no more sessions were wanted")
            return
        if len(self._greetings) >= self._limits.session_channels:
            channel.refuse(
                OPEN_RESOURCE_SHORTAGE, f"more than {self._limits.session_channels} sessions"
            )
            return
        greeting = Greeting(
            channel,
            self._avatar.information,
            self._clock,
            self.transport.guarded,
            self._greetings.discard,
            misses_an_end(self.transport.client_version),
        )
        self._greetings.add(greeting)
        channel.user = greeting
        channel.confirm()

    # Time.

    def _check_life(self) -> None:
        """Ask a silent client whether it lives; any byte is an answer.

        Some clients never answer, and a stopped or busy one can't.  They count as alive as long as
        their system acknowledges the question.
        """
        if self.transport.heard:
            self.transport.heard = False
            self._unanswered = 0
        elif self._unanswered >= self._limits.keepalive_count and not self._acknowledges():
            self.end("the client does not answer")
            return
        else:
            self._unanswered += 1
            self._multiplexer.send_global_request(b"keepalive@openssh.com", b"", _heard)
        self._schedule("life", self._limits.keepalive_seconds, self._check_life)

    def _acknowledges(self) -> bool:
        """Whether the client's system has acknowledged what was last asked."""
        since = self.transport.seconds_since_acknowledgement()
        return since is not None and since < 1.5 * self._limits.keepalive_seconds

    def _check_idle(self, seconds: float) -> None:
        if self.transport.carried:
            self.transport.carried = False
            self._idle_checks = 0
        self._idle_checks += 1
        if self._idle_checks > _IDLE_CHECKS:
            self.end(f"no traffic for {seconds:g} s")
        else:
            self._schedule("idle", seconds / _IDLE_CHECKS, self._check_idle, seconds)

    def _schedule(
        self, name: str, seconds: float, call: Callable[..., None], *arguments: object
    ) -> None:
        self._calls[name] = self._clock.callLater(seconds, self.transport.guarded, call, *arguments)


def _heard(reply: bytes | None) -> None:
    """Ignore the answer to a keepalive: its arrival has been noted already."""
