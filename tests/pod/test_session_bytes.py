"""What a session has carried adds up, whatever has ended."""

from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pod.session_bytes import Carried
from tunnelcloud.ssh.interfaces import TunnelTraffic


def route(name, to_target, from_target):
    return SimpleNamespace(
        tunnel=SimpleNamespace(name=name), bytes_to_target=to_target, bytes_from_target=from_target
    )


class CarriedTests(SynchronousTestCase):
    def test_what_is_over_and_what_is_open(self):
        routes = {"a": route("db", 1, 10), "b": route("db", 2, 20), "c": route("web", 4, 40)}
        open_ones = list(routes.values())
        carried = Carried(open_ones)
        self.assertEqual(carried.totals(), (7, 70))
        self.assertEqual(carried.by_tunnel()["db"], TunnelTraffic(2, 3, 30))
        for one in routes.values():
            open_ones.remove(one)
            carried.ended(one)
        self.assertEqual(carried.totals(), (7, 70))
        found = {"db": TunnelTraffic(0, 3, 30), "web": TunnelTraffic(0, 4, 40)}
        self.assertEqual(carried.by_tunnel(), found)
