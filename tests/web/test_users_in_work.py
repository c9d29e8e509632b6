"""What one user's requests hold in memory is bounded, from wherever they come."""

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.web import test_long_answers
from tests.web.portal.browser import PortalTestCase
from tests.web.support import read_answer
from tests.web.test_long_answers import UnreadTransport
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web import streamed_answers
from tunnelcloud.web.request_concurrency import MOST_OF_A_USER


class DoorTests(PortalTestCase):
    """Pages and API count together, and none of them keeps others of its network waiting."""

    def ask_soon(self, head, transport=StringTransport):
        address = IPv4Address("TCP", "192.0.2.1", 4000)
        channel = self.site.buildProtocol(address)
        transport = transport(peerAddress=address)
        channel.makeConnection(transport)
        self.addCleanup(channel.setTimeout, None)
        self.clock.advance(0)
        channel.dataReceived(head.encode())
        self.clock.advance(0)
        return channel, transport

    def api_head(self, path="/me", role=Role.USER):
        return (
            f"GET /api/v1{path} HTTP/1.1\r\nHost: pod\r\n"
            f"Authorization: Bearer {self.secrets[role]}\r\n\r\n"
        )

    def test_what_takes_long_waits_apart(self):
        """Who applies four documents at a time goes on reading pages, and the other way round."""
        self.hold_all_places(self.people[Role.ADMIN].id)
        self.api("POST", "/apply", {"groups": {"dba": {}}})
        self.hold_all_places(f"{self.people[Role.ADMIN].id} apply")
        _, transport = self.ask_soon(
            "POST /api/v1/apply HTTP/1.1\r\nHost: pod\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {self.secrets[Role.ADMIN]}\r\nContent-Length: 2\r\n\r\n{{}}"
        )
        self.wait_for_a_place()
        self.assertEqual(transport.value(), b"")

    def test_a_long_answer_is_in_work_until_it_is_read(self):
        many = {f"somebody-{number:03}": {"title": "x" * 200} for number in range(1000)}
        self.api("POST", "/apply", {"users": many})
        unread, head = [], self.api_head("/export", Role.ADMIN)
        for _ in range(MOST_OF_A_USER):
            channel, transport = self.ask_soon(head, UnreadTransport)
            while not transport.value():
                self.reactor.run_one()
            self.assertTrue(channel.requests, "it goes on")
            unread.append((channel, transport))
        waiting = self.ask_soon(head)[1]
        self.wait_for_a_place()
        self.api("GET", "/me", role=Role.USER)
        self.assertEqual(waiting.value(), b"")
        # Whoever has read it makes room, and so does whoever is gone.
        channel, transport = unread.pop()
        while channel.requests:
            transport.read()
        self.clock.advance(0)
        self.assertEqual(self.finish(waiting), 200)
        for channel, _ in unread:
            channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.context.users._counts, {})

    def test_a_long_page_is_handed_over_as_it_is_read(self):
        self.patch(streamed_answers, "PIECE", 1024)
        self.patch(test_long_answers, "PIECE", 1024)
        browser = self.signed_in(Role.USER)
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        for method, is_sent in (("GET", False), ("HEAD", True)):
            head = f"{method} /keys HTTP/1.1\r\nHost: {browser.host}\r\nCookie: {cookies}\r\n\r\n"
            channel, transport = self.ask_soon(head, UnreadTransport)
            while not transport.value():
                self.reactor.run_one()
            self.assertEqual(not channel.requests, is_sent)
            self.assertEqual(bool(self.context.users._counts), not is_sent)
            while channel.requests:
                transport.read()
            self.assertIs(b"</html>" in transport.value(), not is_sent)
            self.assertEqual(self.context.users._counts, {})

    def hold_all_places(self, user_id):
        self.held = [Deferred() for _ in range(MOST_OF_A_USER)]

        async def wait(until):
            await until

        for one in self.held:
            Deferred.fromCoroutine(self.context.users.run(user_id, lambda one=one: wait(one)))

    def wait_for_a_place(self):
        """Let the pod find out who asks."""
        while not self.context.users._waiting:
            self.reactor.run_one()

    def finish(self, transport):
        while (answer := read_answer(transport.value())) is None:
            self.reactor.run_one()
        return answer.status

    def test_pages_and_api(self):
        browser = self.signed_in(Role.USER)
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        page = f"GET / HTTP/1.1\r\nHost: {browser.host}\r\nCookie: {cookies}\r\n\r\n"
        for head in (self.api_head(), page):
            self.hold_all_places(self.people[Role.USER].id)
            _, transport = self.ask_soon(head)
            self.wait_for_a_place()
            self.assertEqual(transport.value(), b"")
            self.assertEqual(self.site.parties._counts, {}, "others of the network needn't wait")
            for one in self.held:
                one.callback(None)
            self.clock.advance(0)
            self.assertEqual(self.finish(transport), 200)
        self.assertEqual(self.context.users._counts, {})

    def test_a_client_that_goes_while_it_waits(self):
        self.hold_all_places(self.people[Role.USER].id)
        channel, _ = self.ask_soon(self.api_head())
        self.wait_for_a_place()
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.context.users._waiting, {})
