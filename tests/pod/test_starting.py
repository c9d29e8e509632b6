"""What a pod's start says before it serves."""

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.pod.starting import local_address_warning
from tunnelcloud.settings import PodSettings


class AddressTests(SynchronousTestCase):
    def warning(self, host, **settings):
        return local_address_warning(PodSettings.model_validate(settings), host)

    def test_a_name_that_others_know(self):
        for host in ("pod.example.com", "pod", "192.0.2.1"):
            self.assertEqual(self.warning(host), "")

    def test_each_machines_own_name(self):
        for host in ("localhost", "localhost.localdomain", "127.0.0.1", "::1"):
            said = self.warning(host)
            self.assertIn(f"name is {host}: the commands and join tokens", said)
            self.assertIn("ssh.public_address and connectors.public_address aren't set", said)

    def test_what_the_settings_name_isnt_warned_of(self):
        ssh = {"public_address": "pod.example.com:2222"}
        both = {"ssh": ssh, "connectors": {"public_address": "pod.example.com:8443"}}
        self.assertEqual(self.warning("localhost", **both), "")
        self.assertIn(
            "warning: connectors.public_address isn't set", self.warning("localhost", ssh=ssh)
        )
