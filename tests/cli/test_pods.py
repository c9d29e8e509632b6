from tests.cli.support import CommandTestCase


class HostKeyTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.api.put(
            "host-keys",
            algorithm="ssh-ed25519",
            fingerprint="SHA256:abc",
            known_hosts=["[pod.example.com]:2222 ssh-ed25519 AAAA", "[db]:2222 ssh-ed25519 AAAA"],
        )

    def test_fingerprints(self):
        lines = self.succeed("host-key", "list").splitlines()
        self.assertEqual(lines[1].split(), ["ssh-ed25519", "SHA256:abc"])
        self.assertEqual(
            self.succeed_json("host-key", "list")["items"][0]["algorithm"], "ssh-ed25519"
        )

    def test_known_hosts(self):
        lines = ["[pod.example.com]:2222 ssh-ed25519 AAAA", "[db]:2222 ssh-ed25519 AAAA"]
        self.assertEqual(self.succeed("host-key", "known-hosts").splitlines(), lines)
        self.assertEqual(self.succeed_json("host-key", "known-hosts"), lines)
