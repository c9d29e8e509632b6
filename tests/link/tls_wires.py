"""TLS between two protocols in memory."""

from datetime import UTC, datetime, timedelta

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test import iosim

from tunnelcloud.link.tls import LinkTLS
from tunnelcloud.pki.authority_rotation import Authorities
from tunnelcloud.pki.signing_requests import make_request, new_private_key

DAY = timedelta(days=1)


def now():
    return datetime.now(UTC)


def only(authority):
    """What gives pods their one CA."""
    found = Authorities(authority)
    return lambda: found


def link_tls(authority, connector_id="con_1", lifetime=DAY, when=None, trusted=b""):
    """What a joined connector has: made by the CA given, which it trusts, or others."""
    key = new_private_key()
    issued = authority.sign_request(make_request(key), connector_id, when or now(), lifetime)
    return LinkTLS(trusted or authority.certificate_pem, issued.pem, key)


class TLSWire:
    """Joins a server and a client protocol by TLS over an in-memory wire."""

    def __init__(self, server_tls, server, client_tls, client):
        self.clock = Clock()
        self.server = self._wrap(server_tls, False, server)
        self.client = self._wrap(client_tls, True, client)
        self._pump = iosim.connect(
            self.server,
            iosim.FakeTransport(self.server, True),
            self.client,
            iosim.FakeTransport(self.client, False),
        )

    def _wrap(self, creator, is_client, protocol):
        inner = Factory.forProtocol(lambda: protocol)
        return TLSMemoryBIOFactory(creator, is_client, inner, self.clock).buildProtocol(None)

    def run(self):
        """Let everything arrive."""
        for _ in range(50):
            self._pump.pump()
            self.clock.advance(0)
