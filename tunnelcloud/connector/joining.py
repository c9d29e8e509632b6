"""Joining, once; and coming late to renew a certificate that ended while no pod was there."""

from collections.abc import Callable
from datetime import datetime

from cryptography import x509
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from tunnelcloud.connector.outgoing import Outgoing
from tunnelcloud.connector.state import ConnectorState, Membership
from tunnelcloud.domain.join_tokens import JoinToken, read_pod_address
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.link.join_messages import JoinGranted, JoinRequest, RenewalRequest
from tunnelcloud.link.joining import JoinClient
from tunnelcloud.link.tls import JoinTLS
from tunnelcloud.link.transport import LinkTransportFactory
from tunnelcloud.pki.authority import certificate_pin
from tunnelcloud.pki.signing_requests import make_request

JOIN_TIMEOUT = 30.0
"""Seconds until an attempt to join is given up."""


def join(
    outgoing: Outgoing,
    token: JoinToken,
    state: ConnectorState,
    version: str,
    now: Callable[[], datetime],
) -> "Deferred[Membership]":
    """Redeem a join token, and store the result.

    After a crash at any point this may be repeated with the same token: the key is the same, and
    the token is bound to the key.

    :return: fails with ``JoinRefused``, ``BadState``, or with what kept the pod from being reached.
    """
    request = JoinRequest(
        secret=token.secret.hex(),
        certificate_request=make_request(state.private_key()).decode("ascii"),
        version=version,
    )

    def granted(answer: tuple[JoinGranted, bytes]) -> Membership:
        grant, ca_pem = answer
        # The token's address is known to work from here; the others may not.
        pods = dict.fromkeys((token.address, *map(read_pod_address, grant.pods)))
        return state.join(
            token, grant.connector_id, grant.certificate.encode("ascii"), ca_pem, tuple(pods)
        )

    asking = _ask(outgoing, token.address, JoinClient(token.ca_pin, request, now))
    return asking.addCallback(granted)


def renew_late(
    outgoing: Outgoing,
    pod: PublicAddress,
    membership: Membership,
    authority: x509.Certificate,
    now: Callable[[], datetime],
) -> "Deferred[bytes]":
    """Ask a pod for another certificate in place of one that has ended.

    :param authority: the CA that the pod is to be of.
    :return: fires with the certificate (PEM); fails as :func:`join`.
    """
    request = RenewalRequest(
        certificate_request=make_request(membership.private_key_pem).decode("ascii"),
        certificate=membership.certificate_pem.decode("ascii"),
    )
    asking = _ask(outgoing, pod, JoinClient(certificate_pin(authority), request, now))
    return asking.addCallback(lambda answer: answer[0].certificate.encode("ascii"))


def _ask(
    outgoing: Outgoing, pod: PublicAddress, client: JoinClient
) -> "Deferred[tuple[JoinGranted, bytes]]":
    reactor = outgoing.reactor
    inner = Factory.forProtocol(lambda: client)
    inner.noisy = False
    factory = LinkTransportFactory(JoinTLS(), True, inner, reactor)
    asking = outgoing.connect(pod, factory).addCallback(lambda _: client.answered)
    return asking.addTimeout(JOIN_TIMEOUT, reactor)
