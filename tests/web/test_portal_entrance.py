"""The portal is loaded when the first browser comes, and a crowd may be the first."""

from re import _compiler as sre_compiler

from jinja2 import Environment
from twisted.internet.address import IPv4Address
from twisted.internet.testing import StringTransport

from tests.web.support import ApiTestCase, read_answer
from tunnelcloud.web.portal.page_requests import Shown, Visit, values_of
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.worker import MAX_WAITING

CROWD = MAX_WAITING + 20


class CrowdTests(ApiTestCase):
    def come(self, number):
        """Have a browser of a network of its own ask for the sign-in page."""
        peer = IPv4Address("TCP", f"10.{number}.0.1", 54321)
        transport = StringTransport(peerAddress=peer)
        channel = self.site.buildProtocol(None)
        channel.makeConnection(transport)
        self.clock.advance(0)
        channel.dataReceived(b"GET /sign-in HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.clock.advance(0)
        self.addCleanup(channel.setTimeout, None)
        return transport

    def test_a_crowd_before_it_is_loaded(self):
        """Each waited for a load of its own: of 2,000 that came, 160 were told to come later."""
        loads = []
        run = self.context.showing.run

        def counted(work, *args, **kwargs):
            if getattr(work, "__name__", "") == "_load":
                loads.append(work)
            return run(work, *args, **kwargs)

        self.patch(
            type(self.context.showing), "run", lambda _, *args, **more: counted(*args, **more)
        )
        crowd = [self.come(number) for number in range(CROWD)]
        self.assertEqual(len(loads), 1)
        statuses = []
        for transport in crowd[:50]:
            while (answer := read_answer(transport.value())) is None:
                self.reactor.run_one()
                self.clock.advance(0)
            statuses.append(answer.status)
        self.assertEqual(set(statuses), {200})


class FirstRequestTests(ApiTestCase):
    """What the first request for a page that isn't there does in the reactor's thread."""

    def test_nothing_is_compiled_any_more(self):
        """All patterns of the page table and two templates took 37 to 52 ms of one turn."""
        from tunnelcloud.web.portal.tree import portal_resource

        portal = portal_resource(self.context, self.table)
        compiled = []
        note = compiled.append
        self.patch(sre_compiler, "compile", lambda pattern, flags: note(pattern))
        self.patch(Environment, "compile", lambda _, source, name, *more: note(name))
        self.assertRaises(Problem, portal._find, "GET", "/nowhere")
        values = values_of(Visit("/", "", ""), Shown("failed.html", {"title": "", "text": ""}), "")
        portal._renderer.render("failed.html", values, self.context.now())
        self.assertEqual(compiled, [])
