"""What was pasted in the place of a name isn't shown if it may let somebody in."""

import os

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.domain.tokens import (
    hide_secrets,
    new_api_token,
    new_link_secret,
    new_token,
    without_secrets,
)


class HiddenTests(SynchronousTestCase):
    def test_every_kind_of_secret(self):
        token = new_token(os.urandom)
        join = JoinToken(PublicAddress("pod.example", 8443), bytes(32), os.urandom(20)).encode()
        others = (new_api_token(os.urandom), new_link_secret(os.urandom), join)
        for around in ("{}", " {}\n", "tcptunnel@{}", "{}@pod", "\u201c{}\u201d", "\ufeff{}"):
            for secret in (token, token.upper()):
                shown = without_secrets(around.format(secret))
                self.assertEqual(shown, around.format("(a one-time token)"))
            for secret in others:
                shown = without_secrets(f"https://pod/{secret}" if "@" in around else secret)
                self.assertNotIn(secret[8:], shown)
                self.assertIn("(a secret)", shown)

    def test_any_bytes(self):
        token = new_token(os.urandom).encode()
        self.assertEqual(hide_secrets(b"\xff" + token + b"\0"), b"\xff(a one-time token)\0")

    def test_names_and_ids_stay(self):
        for name in ("alice", "alice@example.com", "tcptunnel@db-prod", "usr_" + "0" * 26, "tca_x"):
            self.assertEqual(without_secrets(name), name)
