"""What a pod's start says before it serves."""

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.daemon import CannotServe
from tunnelcloud.pod import starting
from tunnelcloud.pod.starting import local_address_warning, make_pod
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


class NameServiceTests(SynchronousTestCase):
    """A name service that doesn't answer delays no pod whose addresses are set."""

    def asked(self, *named):
        """Begin a start; tell how often the name service was asked."""
        asked = []
        self.patch(starting, "own_name", lambda: asked.append(1) or "pod.example.com")
        self.patch(starting, "lay_foundation", self.go_no_further)
        listen = ["tcp:0:interface=127.0.0.1"]
        sections = {name: {"listen": listen} for name in ("ssh", "connectors", "web")}
        for name in named:
            sections[name]["public_address"] = "pod.example.com:2222"
        settings = PodSettings.model_validate(sections)
        self.assertRaises(CannotServe, make_pod, reactor, settings, say=lambda line: None)
        return len(asked)

    def go_no_further(self, *_):
        raise CannotServe("this is enough")

    def test_it_is_asked_for_what_is_not_set(self):
        self.assertEqual(self.asked(), 1)
        self.assertEqual(self.asked("ssh"), 1)
        self.assertEqual(self.asked("ssh", "connectors"), 0)
