"""The interface of the running pod to the API and the pages; the rest they read from the store.

The pod provides this.  Nothing here knows a request, a page or a query.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from attrs import frozen
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.key_rotation import KeyUse
from tunnelcloud.domain.objects.sites import Tunnel
from tunnelcloud.net.source_limits import ShutOut
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store.transaction import Transaction

NOTED_WITHIN = timedelta(seconds=60)
"""Pods write down what is attached to them more often than this."""


@frozen
class LiveChannel:
    """One open channel and the bytes it has carried so far.

    :ivar connector_id: the connector it goes through; None while none has reached the target.
    :ivar rate_to_target: bytes a second in the last few seconds.
    """

    id: str
    bytes_to_target: int
    bytes_from_target: int
    connector_id: str | None = None
    rate_to_target: float = 0.0
    rate_from_target: float = 0.0


@frozen
class LiveSession:
    """One open session of this pod, and the bytes of all its channels so far."""

    id: str
    bytes_to_target: int
    bytes_from_target: int
    rate_to_target: float = 0.0
    rate_from_target: float = 0.0


@frozen
class ConnectorHealth:
    """The state of a connector that is attached to this pod.

    :ivar round_trip_ms: of the last ping; None before the first came back.
    :ivar load: channels open through it, from this pod.
    :ivar way: how it reaches this pod: directly, or through which proxy.
    """

    round_trip_ms: float | None
    load: int
    version: str
    way: str = ""


@frozen
class Authority:
    """The certificate authority that connectors and pods know each other by.

    :ivar fingerprint: the SHA-256 digest of its certificate, in hexadecimal digits.
    """

    fingerprint: str
    expires_at: datetime
    use: KeyUse = KeyUse.CURRENT


@frozen
class CertificateState:
    """The state of the certificate that browsers see, if it comes by ACME.

    :ivar ends_at: None while there is none.
    :ivar directory: of the authority.
    :ivar fault: why the last order failed; empty when it didn't.
    """

    names: Sequence[str]
    ends_at: datetime | None
    renews_at: datetime | None
    directory: str | None
    fault: str


@frozen
class PublicHostKey:
    """An SSH host key.

    :ivar public_key: algorithm and key, as in ``known_hosts``.
    :ivar fingerprint: as ``SHA256:…``.
    """

    public_key: str
    fingerprint: str
    use: KeyUse = KeyUse.CURRENT


@frozen
class Warned:
    """A fault that stops nobody from working.

    :ivar text: for administrators.
    :ivar outline: for anybody: it names no object of this service.
    """

    text: str
    outline: str


@frozen
class LastCheck:
    """The result of a check of a tunnel, and its time."""

    at: datetime
    ok: bool
    steps: Sequence[DoctorStep]


@frozen
class Usage:
    """What one user has open on this pod; limits are compared with it.

    :ivar sessions: those that have used a tunnel; a list or a check alone doesn't count.
    """

    sessions: int = 0
    channels: Mapping[str, int] = {}
    """Open channels by the id of their tunnel."""


class ILivePod(Interface):
    """The pod as it is now."""

    pod_id = Attribute("The id of this pod.")
    ending = Attribute("Gives ``Warned`` of certificates that end soon; called without anything.")
    started_at = Attribute("The time of day at which it started.")
    ssh_public_address = Attribute(
        "Where SSH clients reach the pods: a ``tunnelcloud.domain.ssh_command.PublicAddress``."
    )

    def live_session(session_id: str) -> "LiveSession | None":
        """Show a session that is open on this pod; None for any other."""

    def live_channels(session_id: str) -> "Sequence[LiveChannel]":
        """Show the channels of a session that is open on this pod; none for any other."""

    def usage(user_id: str) -> "Usage":
        """Count what a user has open; called in any thread."""

    def end_session(session_id: str, reason: str) -> "Deferred[bool]":
        """End a session, on whichever pod it is, telling its user ``reason``.

        :return: fires with False when it was not open any more.
        """

    def end_channel(channel_id: str, reason: str) -> "Deferred[bool]":
        """End one channel and leave the rest of its session alone; as ``end_session``."""

    def cloned_connectors() -> "Mapping[str, datetime]":
        """Tell when this pod last turned away a second process with a connector's identity."""

    def attached_connectors() -> "frozenset[str]":
        """Give the ids of the connectors that are attached to this pod."""

    def connector_health(connector_id: str) -> "ConnectorHealth | None":
        """Return the state of a connector that is attached to this pod; called in any thread."""

    def pods_of(connector_id: str) -> "tuple[int, int]":
        """Tell to how many pods a connector has links, and how many pods there are.

        Called in any thread.
        """

    def lost_connectors() -> "Mapping[str, datetime]":
        """Tell when this pod lost the last link of connectors, by their ids; of the last minute."""

    def check_tunnel(tunnel: Tunnel, port: int, whose: str) -> "Deferred[Sequence[DoctorStep]]":
        """Check every hop from this pod to a tunnel's target; ends after the first that failed.

        :param whose: the user, or the API token, in whose share of the checks it is.
        """

    def target_faults(tunnel_id: str) -> "Mapping[int, str]":
        """Tell what was wrong, empty for nothing, when this pod last checked a tunnel's ports."""

    def last_check(tunnel_id: str) -> "LastCheck | None":
        """Tell what came of the last check of a tunnel by this pod, asked for or by the clock."""

    def failing_targets() -> "Mapping[str, str]":
        """Say what was wrong with the targets whose last check failed, by the tunnels' ids."""

    def target_certificates() -> "Mapping[str, datetime]":
        """Tell when targets' certificates end, by the ids of tunnels whose last check saw one."""

    def external_address_warning(name: str) -> "Deferred[str | None]":
        """Say why clients that connect to a host name wouldn't reach a pod; it answers soon."""

    def authorities() -> Sequence[Authority]:
        """Tell which CAs the pods have, the one that they serve by first."""

    def shut_out(most: int) -> "Sequence[ShutOut]":
        """List who can't connect by SSH for now, those with the longest wait first."""

    def let_in(transaction: Transaction, source: str) -> None:
        """Have all pods let a source connect again, once the transaction is done."""

    def web_certificate() -> "CertificateState | None":
        """Return the state of the web's certificate; None if it doesn't come by ACME."""

    def known_hosts_lines() -> "Sequence[str]":
        """Give the lines for ``known_hosts``, of every name and address clients connect to."""

    def host_keys() -> "Sequence[PublicHostKey]":
        """Give the host keys that clients are told, the current ones first."""

    def join_token(secret: bytes) -> JoinToken:
        """Make a join token of a secret, this pod's address for connectors, and its CA's digest."""
