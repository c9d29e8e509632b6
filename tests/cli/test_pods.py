from tests.cli.support import CommandTestCase


class HostKeyTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.api.put(
            "host-keys",
            algorithm="ssh-ed25519",
            use="current",
            fingerprint="SHA256:abc",
            known_hosts=["[pod.example.com]:2222 ssh-ed25519 AAAA", "[db]:2222 ssh-ed25519 AAAA"],
        )

    def test_fingerprints(self):
        lines = self.succeed("host-key", "list").splitlines()
        self.assertEqual(lines[1].split(), ["ssh-ed25519", "current", "SHA256:abc"])
        self.assertEqual(
            self.succeed_json("host-key", "list")["items"][0]["algorithm"], "ssh-ed25519"
        )

    def test_steps(self):
        for step, next_one in (("rotate", "promote"), ("promote", "retire"), ("retire", "")):
            said = self.succeed("host-key", step)
            self.assertIn(f"`tunnelcloud host-key {next_one}`" if next_one else "current", said)
            self.assertEqual(self.api.requests[-1][1], f"host-keys/{step}")

    def test_known_hosts(self):
        lines = ["[pod.example.com]:2222 ssh-ed25519 AAAA", "[db]:2222 ssh-ed25519 AAAA"]
        self.assertEqual(self.succeed("host-key", "known-hosts").splitlines(), lines)
        self.assertEqual(self.succeed_json("host-key", "known-hosts"), lines)
