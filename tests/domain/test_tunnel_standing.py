"""How a tunnel stands: by what is known of it, the strongest reason first."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain import values
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.tunnel_standing import Stand, port_after, standing

TUNNEL = evolve(values.tunnel("db"), target_ports=(PortRange(5432, 5432),))
RANGE = evolve(TUNNEL, target_ports=(PortRange(80, 80), PortRange(8000, 8010)))


class StandingTests(SynchronousTestCase):
    def check(self, kind, text, tunnel=TUNNEL, **known):
        found = standing(tunnel, **{"seen": {5432: ""}, **known})
        self.assertEqual((found.kind, found.text), (kind, text))
        self.assertEqual(found.opens, kind in ("ready", "unchecked", "partly", "held"))

    def test_ready_is_what_was_reached(self):
        self.check(Stand.READY, "Ready")
        self.check(Stand.UNCHECKED, "Not checked yet", seen={})
        self.check(Stand.UNCHECKED, "Not checked yet", seen={5433: ""})  # published no more

    def test_the_strongest_reason_comes_first(self):
        known = {
            "refusal": "db: opens Mon 09:00 UTC",
            "offline": "site paris is offline",
            "seen": {5432: "connect to 10.0.0.5:5432: refused"},
        }
        disabled = "Disabled; an administrator can enable it"
        self.check(Stand.SHUT, disabled, evolve(TUNNEL, enabled=False), seen={})
        self.check(Stand.SHUT, "Opens Mon 09:00 UTC", **known)
        waits = {"refusal": "db: needs an approval", "awaited": True}
        self.check(Stand.HELD, "Needs an approval", **waits)
        self.check(Stand.OFFLINE, "Site paris is offline", **{**known, **waits})
        del known["refusal"]
        self.check(Stand.OFFLINE, "Site paris is offline", **known)
        del known["offline"]
        self.check(Stand.UNREACHABLE, "Connect to 10.0.0.5:5432: refused", **known)

    def test_some_ports_of_several(self):
        seen = {80: "", 8000: "refused", 8001: "timed out"}
        self.check(Stand.PARTLY, "Port 8000, 8001: refused", RANGE, seen=seen)
        seen = dict.fromkeys(range(8000, 8008), "refused")
        text = "Port 8000, 8001, 8002, 8003, 8004 and 3 more: refused"
        self.check(Stand.UNREACHABLE, text, RANGE, seen=seen)


class TurnTests(SynchronousTestCase):
    """Published ports are checked in turn."""

    def test_each_once_and_then_anew(self):
        place, seen = None, []
        for _ in range(13):
            place = port_after(RANGE.target_ports, place)
            seen.append(place[1])
        self.assertEqual(seen, [80, *range(8000, 8011), 80])

    def test_ports_that_overlap(self):
        ranges = (PortRange(5, 5), PortRange(4, 6))
        place, seen = None, []
        for _ in range(5):
            place = port_after(ranges, place)
            seen.append(place[1])
        self.assertEqual(seen, [5, 4, 5, 6, 5])

    def test_ports_that_were_changed(self):
        self.assertEqual(port_after(TUNNEL.target_ports, (1, 8003)), (0, 5432))
        self.assertEqual(port_after(RANGE.target_ports, (1, 22)), (0, 80))
