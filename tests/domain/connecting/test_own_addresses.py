"""Each tunnel's own address on the user's machine."""

import ipaddress

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.connecting import own_addresses as module
from tunnelcloud.domain.connecting.own_addresses import own_addresses


class OwnAddressTests(SynchronousTestCase):
    def test_it_depends_on_the_tunnel_alone(self):
        ids = [f"tun_{number:026d}" for number in range(200)]
        together = own_addresses(ids)
        self.assertEqual(len(set(together.values())), 200)
        for one in ids:
            self.assertEqual(own_addresses([one])[one], together[one])
            self.assertIn(ipaddress.ip_address(together[one]), module.NETWORK)

    def test_of_two_that_collide_the_earlier_one_stays(self):
        self.patch(module, "NETWORK", ipaddress.IPv4Network("127.64.0.0/29"))
        ids = [f"tun_{number:026d}" for number in range(6)]
        found = own_addresses(reversed(ids))
        self.assertEqual(sorted(found.values()), [f"127.64.0.{last}" for last in range(1, 7)])
        for count in range(1, 7):
            before = own_addresses(ids[:count])
            self.assertEqual(before, {one: found[one] for one in ids[:count]})
