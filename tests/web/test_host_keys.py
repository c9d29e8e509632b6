"""Host keys are changed by the API: only by administrators, step by step."""

from tests.web.support import ApiTestCase
from tunnelcloud.domain.key_rotation import KeyUse, host_key_name
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.pki.host_keys import ALGORITHMS, HostKey
from tunnelcloud.store import stored_secrets

_STEPS = ("rotate", "promote", "retire")


class HostKeyTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.sealer = self.context.sealer
        key = HostKey.create("ssh-ed25519")
        for algorithm in ALGORITHMS:
            name = host_key_name(algorithm, KeyUse.CURRENT)
            self.store.write(
                stored_secrets.keep_first, name, self.sealer.keep(key.private_key, name)
            )

    def fingerprint(self, use):
        name = host_key_name("ssh-ed25519", use)
        kept = self.store.read(stored_secrets.load, name)
        return kept and HostKey.from_openssh(self.sealer.take(kept, name)).fingerprint

    def test_the_steps(self):
        first = self.fingerprint(KeyUse.CURRENT)
        self.api("POST", "/host-keys/rotate", expect=204)
        second = self.fingerprint(KeyUse.NEW)
        self.api("POST", "/host-keys/promote", expect=204)
        self.assertEqual(self.fingerprint(KeyUse.CURRENT), second)
        self.assertEqual(self.fingerprint(KeyUse.OLD), first)
        self.api("POST", "/host-keys/retire", expect=204)
        self.assertIsNone(self.fingerprint(KeyUse.OLD))
        [event] = self.api("GET", "/audit?event=host_key.promoted")["items"]
        self.assertIn(second, event["data"]["fingerprints"])

    def test_administrators_only_and_in_turn(self):
        for step in _STEPS:
            for role in (Role.AUDITOR, Role.USER):
                self.api("POST", f"/host-keys/{step}", expect=403, role=role)
        answer = self.api("POST", "/host-keys/promote", expect=409)
        self.assertIn("tunnelcloud host-key rotate", answer["detail"])
