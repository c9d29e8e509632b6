"""The interfaces between the SSH front door and the pod.

The front door knows keys, tokens and channels as bytes on a wire.  The pod decides whether a key or
a token is good, which tunnels it opens and where a channel leads, behind ``IAccess`` and
``ISessionAvatar``.  Nothing here knows a store, a link or a page.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from attrs import frozen
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from tunnelcloud.channels.interfaces import IChannel
from tunnelcloud.domain.names import Login, parse_login
from tunnelcloud.domain.target_certificates import SeenCertificate


@frozen
class LoginAttempt:
    """A login attempt as the client sent it: only the source is verified.

    :ivar login_name: the user name as it was sent, any bytes (the SSH client split off the host).
    :ivar source: the client's IP address in canonical form, unmapped.
    :ivar client_version: the client's identification line, escaped, without ``SSH-2.0-``.
    """

    login_name: bytes
    source: str
    source_port: int
    client_version: str

    @cached_property
    def login(self) -> Login | None:
        """Parse the login name; None for bytes that aren't a login name."""
        return parse_login(self.login_name)


class LoginRefused(UnauthorizedLogin):
    """The credential opens nothing.

    :ivar text: what the user may read, one line without its line end; ``""`` for the plain refusal
        that unknown users, wrong tokens and missing grants share.
    :ivar offence: whether the source address is to be penalised for it.
    """

    def __init__(self, text: str = "", offence: bool = True) -> None:
        super().__init__(text)
        self.text = text
        self.offence = offence


@frozen
class BrowserOffer:
    """A connection's chance to log in by a browser.

    :ivar url: where somebody who is signed in to the portal confirms the login.
    :ivar secret_hash: identifies the offer to the pod.
    """

    url: str
    secret_hash: bytes


class IAccess(Interface):
    """Judges credentials."""

    def offer_browser(
        attempt: LoginAttempt, held: "BrowserOffer | None" = None
    ) -> "BrowserOffer | None":
        """Offer a login by browser, for any login name; None if too many are waiting.

        :param held: the connection's offer so far.  It is given again if it is for this very login;
            otherwise it is withdrawn.
        """

    def withdraw_browser(offer: BrowserOffer) -> None:
        """Forget the offer: the connection has logged in, or is over."""

    def login_by_browser(attempt: LoginAttempt, offer: BrowserOffer) -> "Deferred[str]":
        """Wait a while for the confirmation, and write the session: the session's id.

        :raise LoginRefused: nobody has confirmed it yet, somebody refused it, or it opens nothing.
        """

    def is_registered(key_blob: bytes) -> "Deferred[bool]":
        """Tell whether anybody registered this key; changes nothing.

        Public keys are public, and anybody may ask this without a signature.  The answer doesn't
        depend on the login name, so that nobody learns whose the key is or what it opens.

        :param key_blob: the public key as RFC 4253, 6.6 encodes it.
        """

    def login_with_key(attempt: LoginAttempt, key_blob: bytes) -> "Deferred[str]":
        """Verify the login and write its session in one transaction: the session's id.

        The key's signature has been verified before.

        :raise LoginRefused: when the key opens nothing for this login, which brings no penalty.
        """

    def login_with_token(attempt: LoginAttempt, token: str) -> "Deferred[str]":
        """Verify and spend the token and write the session in one transaction: the session's id.

        :param token: without spaces around it, 1,024 characters at most.
        :raise LoginRefused: when it opens nothing, or was used or expired.
        """

    def login_failed(attempt: LoginAttempt, method: str, reason: str) -> None:
        """Record a login that the front door itself refused (a bad signature).

        :param method: ``"key"`` or ``"token"``.
        """


class ISessionConnection(Interface):
    """One authenticated SSH connection, as the pod sees it."""

    source = Attribute("The client's IP address, as in ``LoginAttempt``.")

    def end(reason: str) -> None:
        """Send DISCONNECT with ``reason`` for the user and close; harmless when already over."""

    def limit(idle_seconds: "float | None", session_seconds: "float | None") -> None:
        """Set (or lift, with None) the idle and the session limit; may be called again.

        Idle means that no channel carried a byte.  The session limit counts from the login.
        """


@frozen
class TunnelRow:
    """One of the user's tunnels, as the greeting shows it.

    :ivar state: in words, ``"Ready"`` or why not.
    :ivar command: the ``ssh`` line that opens it.
    :ivar by_key: whether that line logs in by a key.
    :ivar api: gives the API's own object (with ``command``), for ``ls --json``.
    """

    name: str
    title: str
    state: str
    command: str
    api: Callable[[], Mapping[str, Any]]
    by_key: bool = False


@frozen
class TunnelTraffic:
    """What one tunnel carries in this session, since its start."""

    open_channels: int
    bytes_to_target: int
    bytes_from_target: int


@frozen
class DoctorStep:
    """One checked hop on the way to a target.

    :ivar warning: what will be wrong soon, or ``""``; also in the text.
    :ivar certificate: the target's certificate, if it was checked by TLS.
    """

    name: str
    ok: bool
    milliseconds: float
    text: str
    warning: str = ""
    certificate: SeenCertificate | None = None


class ISessionInformation(Interface):
    """What the user of a session can ask of it; session channels show it."""

    def tunnels() -> "Deferred[Sequence[TunnelRow]]":
        """List the tunnels this session could open."""

    def in_place(work: "Callable[[], Coroutine[Deferred[Any], Any, Any]]") -> "Deferred[Any]":
        """Do what keeps a list of tunnels in memory, when few others of its user do."""

    def in_turns(steps: "Iterator[Deferred[None] | None]") -> "Deferred[None]":
        """Go through steps of about a millisecond, in turns with those of others.

        A step may give what the next one waits for.
        """

    def jump() -> str:
        """Give what ``ssh -J`` takes to come through this pod as this session did."""

    def waiting() -> "Sequence[str]":
        """Say what the user's channels wait for, and where that is decided, a line for each."""

    def traffic() -> "Mapping[str, TunnelTraffic]":
        """Count what each tunnel carries now, by its name."""

    def doctor(tunnel_name: str) -> "AsyncIterator[DoctorStep]":
        """Check every hop to a tunnel, a step at a time; ends after the first that failed.

        :raise LookupError: at the first step, when the user has no such tunnel.
        """


class ISessionAvatar(Interface):
    """An open session: what its user may do.  The realm makes it from the session's id."""

    session_id = Attribute("The session's id, which log lines of its connection have.")
    user_id = Attribute("The id of its user.")
    notice = Attribute("A line that the client is to show at the login; empty for none.")
    information = Attribute("What its user can ask of it: an ``ISessionInformation``.")

    def attached(connection: ISessionConnection) -> None:
        """The connection is up.  Called once, before any channel is asked for."""

    def direct_tcpip_requested(
        channel: IChannel, host: bytes, port: int, originator: "tuple[str, int]"
    ) -> None:
        """The client asks for a forward: confirm or refuse ``channel``, now or later.

        :param host: as it was sent, any bytes.
        :param port: any unsigned 32-bit number.
        :param originator: the origin that the client claims, escaped; not to be trusted.
        """

    def logged_out(reason: str) -> None:
        """The connection is over, for whatever reason.

        Called once, before cred's logout; also for a session whose client left before ``attached``.
        """
