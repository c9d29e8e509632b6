"""Joining: the connector asks the pod that its token names for a certificate, once."""

from collections.abc import Callable
from datetime import datetime

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory

from tunnelcloud.connector.outgoing import Outgoing
from tunnelcloud.connector.state import ConnectorState, Membership
from tunnelcloud.domain.join_tokens import JoinToken, read_pod_address
from tunnelcloud.link.join_messages import JoinGranted, JoinRequest
from tunnelcloud.link.joining import JoinClient
from tunnelcloud.link.tls import JoinTLS
from tunnelcloud.link.transport import LinkTransportFactory
from tunnelcloud.pki import make_request

JOIN_TIMEOUT = 30.0
"""Seconds until an attempt to join is given up."""


def join(
    outgoing: Outgoing,
    token: JoinToken,
    state: ConnectorState,
    version: str,
    now: Callable[[], datetime],
) -> "Deferred[Membership]":
    """Redeem a join token, and keep what comes of it.

    After a crash at any point it may be done again with the same token: the key is the same, and
    the token is bound to the key.

    :return: fails with ``JoinRefused``, ``BadState``, or with what kept the pod from being reached.
    """
    request = JoinRequest(
        secret=token.secret.hex(),
        certificate_request=make_request(state.private_key()).decode("ascii"),
        version=version,
    )
    client = JoinClient(token, request, now)

    def granted(answer: tuple[JoinGranted, bytes]) -> Membership:
        grant, ca_pem = answer
        # The token's address is known to work from here; the others are hearsay.
        pods = dict.fromkeys((token.address, *map(read_pod_address, grant.pods)))
        return state.join(
            token, grant.connector_id, grant.certificate.encode("ascii"), ca_pem, tuple(pods)
        )

    reactor = outgoing.reactor
    factory = LinkTransportFactory(JoinTLS(), True, Factory.forProtocol(lambda: client), reactor)
    joining = outgoing.connect(token.address, factory).addCallback(lambda _: client.answered)
    return joining.addCallback(granted).addTimeout(JOIN_TIMEOUT, reactor)
