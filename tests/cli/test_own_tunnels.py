"""A pod that gives commands, files and known_hosts another meaning by the names that it answers."""

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.kept_open import FakeApi, item
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.own_tunnels import Tunnels


class Api(FakeApi):
    """Answers names of a test."""

    def __init__(self, user="alice", **fields):
        super().__init__()
        self.items = [item(1, **{"name": "db", **fields})]
        self.user = user

    def get(self, path):
        return {"user": {"name": self.user}}

    def text(self, path):
        hosts = ("[pod.example.com]:2222", "*", "@cert-authority *")
        return "".join(f"{host} ssh-ed25519 AAAA\n" for host in hosts)


class NameTests(SynchronousTestCase):
    def assert_refused(self, user="alice", **fields):
        api = Api(user, **fields)
        name = api.items[0]["name"]
        self.assertIn("which can't be", str(self.assertRaises(Failed, Tunnels(api).way, name)))

    def test_a_name(self):
        way = Tunnels(Api()).way("db")
        self.assertEqual(way.own_known_hosts, ["[pod.example.com]:2222 ssh-ed25519 AAAA"])
        self.assertEqual(way.arguments()[-1], "alice@pod.example.com")

    def test_a_pattern_of_known_hosts(self):
        """Such a line would have the pod's key stand for every server there is."""
        self.assert_refused(ssh_address="*:22")
        self.assert_refused(ssh_address="@cert-authority:22")
        self.assert_refused(external_address="*")

    def test_an_option_of_ssh(self):
        self.assert_refused("-oProxyCommand=touch x;")
        self.assert_refused(ssh_address="-oProxyCommand=x:22")

    def test_a_command_within_a_name(self):
        """The user's own settings may hand ``%r`` and ``%h`` to a shell."""
        self.assert_refused("`touch x`")
        self.assert_refused(ssh_address="$(touch x):22")
        self.assert_refused(external_address="a|b")

    def test_a_target_and_a_tunnel(self):
        self.assert_refused(target_address="10.0.0.1:22 -o x")
        self.assert_refused(name="db\nMatch all")
