"""The lines for ``known_hosts``, which strangers may ask for again and again."""

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pod import known_hosts
from tunnelcloud.pod.known_hosts import KnownHosts

OWN = PublicAddress("pod.example.com", 2222)


class KnownHostsTests(SynchronousTestCase):
    def setUp(self):
        self.made = 0
        self.kept = KnownHosts()
        make = known_hosts.known_hosts_line

        def counted(*args):
            self.made += 1
            return make(*args)

        self.patch(known_hosts, "known_hosts_line", counted)

    def lines(self, addresses=(OWN,), names=("db.example.com",), keys=("ssh-rsa AAAA",)):
        return list(self.kept.lines(addresses, names, keys))

    def test_each_key_for_each_name_and_address_once(self):
        other = PublicAddress("10.0.0.2", 22)
        lines = self.lines([OWN, other, OWN], ["db.example.com", "pod.example.com"], ["a A", "b B"])
        hosts = ("[pod.example.com]:2222", "10.0.0.2", "[db.example.com]:2222")
        self.assertEqual(lines, [f"{host} {key}" for host in hosts for key in ("a A", "b B")])

    def test_they_are_made_once_until_something_changes(self):
        """With thousands of names that takes some ten milliseconds."""
        names = [f"db-{number}.example.com" for number in range(1000)]
        for _ in range(20):
            self.lines(names=list(names))
        self.assertEqual(self.made, 1001)
        changes = [
            {"addresses": [OWN, PublicAddress("10.0.0.2", 22)]},
            {"names": ["web.example.com"]},
            {"keys": ["ssh-ed25519 BBBB"]},
        ]
        before = self.lines()
        for change in changes:
            self.assertNotEqual(self.lines(**change), before)
        self.assertEqual(self.lines(), before)
