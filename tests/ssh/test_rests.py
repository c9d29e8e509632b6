"""A client's channels rest after many messages: other connections have their turn meanwhile."""

from tests.ssh.client import Client
from tests.ssh.transport_case import LogCase, data, open_echo
from tunnelcloud.ssh.wire import MOST_AT_ONCE

SMALL = 16


class RestTests(LogCase):
    def test_small_packets(self) -> None:
        client = Client()
        client.login()
        open_echo(client)
        multiplexer = client.server.multiplexer
        assert multiplexer is not None
        said: list[str] = []
        self.patch(multiplexer, "pause_sending", lambda: said.append("rest"))
        self.patch(multiplexer, "resume_sending", lambda: said.append("go on"))
        for _ in range(MOST_AT_ONCE - 1):
            client.server.send_message(data(bytes(SMALL))[:9], bytes(SMALL))
        self.assertEqual(said, [])
        client.server.send_message(data(bytes(SMALL))[:9], bytes(SMALL))
        self.assertEqual(said, ["rest"])
        client.clock.advance(0)
        self.assertEqual(said, ["rest", "go on"])

    def test_the_connection_ends_meanwhile(self) -> None:
        client = Client()
        client.login()
        open_echo(client)
        for _ in range(MOST_AT_ONCE):
            client.server.send_message(data(bytes(SMALL))[:9], bytes(SMALL))
        client.server.loseConnection()
        client.clock.advance(0)
