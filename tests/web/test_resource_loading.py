"""The API's parts and the portal are loaded when they are first asked for, once, and elsewhere."""

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from tests.web.support import ApiTestCase, read_answer
from tunnelcloud.web.portal import tree
from tunnelcloud.web.resource_loading import api_parts
from tunnelcloud.web.routes import ANONYMOUS, Part, Route, RouteTable
from tunnelcloud.web.tree import BIG_BODIES


async def answer(_):
    return None


def row(path):
    return Route("GET", path, path.replace("/", "_"), "Says it.", ANONYMOUS, answer)


class PartsTests(SynchronousTestCase):
    def setUp(self):
        self.loaded, self.waiting = [], []
        self.table = RouteTable([self.part("a", "/a"), self.part("b c", "/b", "/a/c")], self.apart)

    def part(self, words, *paths):
        def make():
            self.loaded.append(words)
            return map(row, paths)

        return Part(frozenset(words.split()), make)

    def apart(self, work):
        self.waiting.append((work, waiting := Deferred()))
        return waiting

    def load(self, *segments):
        return Deferred.fromCoroutine(self.table.load(segments))

    def settle(self):
        work, waiting = self.waiting.pop(0)
        waiting.callback(work())

    def test_a_part_is_loaded_elsewhere(self):
        loading = self.load("b")
        self.assertNoResult(loading)
        self.settle()
        self.successResultOf(loading)
        self.assertEqual(self.loaded, ["b c"])
        self.assertEqual(set(self.table.find(["b"])[0]), {"GET"})
        self.successResultOf(self.load("b"))
        self.assertEqual(self.loaded, ["b c"], "it is loaded once")

    def test_a_path_may_need_several(self):
        loading = self.load("a", "c")
        self.settle()
        self.successResultOf(loading)
        self.assertEqual(self.loaded, ["a", "b c"])

    def test_two_who_ask_at_once(self):
        first, second = self.load("a"), self.load("a")
        self.settle()
        self.settle()
        self.successResultOf(first)
        self.successResultOf(second)
        [(parts, _)] = self.table._by_beginning[1, "a"]
        self.assertEqual(parts, ("a",))

    def test_a_path_that_nothing_is_at_loads_nothing(self):
        self.successResultOf(self.load("nothing"))
        self.assertEqual(self.loaded, [])

    def test_who_waits_for_nothing_has_it_at_once(self):
        self.assertEqual(set(self.table.find(["a", "c"])[0]), {"GET"})

    def test_a_part_whose_words_dont_lead_to_it(self):
        table = RouteTable([self.part("x", "/a")], self.apart)
        with self.assertRaises(AssertionError):
            table.find(["x"])

    def test_the_order_is_that_of_the_parts(self):
        self.table.find(["b"])
        self.assertEqual([route.path for route in self.table.routes], ["/a", "/b", "/a/c"])


class ApiPartsTests(ApiTestCase):
    def test_each_request_loads_its_part(self):
        made = []
        for part in api_parts(self.context):
            routes = tuple(part.make())
            made += [(part, route) for route in routes]
        for part, route in made:
            with self.subTest(route.path):
                words = {one for one in route.path.split("/") if one and "{" not in one}
                self.assertTrue(words & part.words)

    def test_where_bodies_may_be_big(self):
        big = [route.path for route in self.table.routes if route.is_big]
        self.assertEqual([f"/api/v1{path}".encode() for path in big], list(BIG_BODIES))


class PortalTests(ApiTestCase):
    def test_browsers_that_come_at_once(self):
        before = len(self.context.listeners)
        first, second = self.begin("/sign-in"), self.begin("/sign-in")
        while any(read_answer(one.value()) is None for one in (first, second)):
            self.reactor.run_one()
        for transport in (first, second):
            self.assertEqual(read_answer(transport.value()).status, 200)
        self.assertEqual(len(self.context.listeners), before + 1, "there is one portal")

    def test_pages_that_cant_be_loaded(self):
        def fail(*_):
            raise ImportError("a part of the program was removed")

        original = tree.portal_resource
        tree.portal_resource = fail
        self.addCleanup(setattr, tree, "portal_resource", original)
        self.assertEqual(self.ask("GET", "/sign-in", role=None).status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ImportError)), 1)
        tree.portal_resource = original
        self.assertEqual(self.ask("GET", "/sign-in", role=None).status, 200)
        self.assertEqual(self.ask("HEAD", "/sign-in", role=None).status, 200)

    def begin(self, path):
        transport = StringTransport()
        channel = self.site.buildProtocol(None)
        channel.makeConnection(transport)
        self.addCleanup(channel.setTimeout, None)
        self.received(channel, f"GET {path} HTTP/1.1\r\nHost: pod\r\n\r\n".encode())
        return transport
