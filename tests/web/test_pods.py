"""Pods by the API: what state each is in, and what may be done with it."""

from tests.web.support import NOW, ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import pods
from tunnelcloud.store.pods import LEASE_SECONDS, Registration


class PodTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        registration = Registration("pod-1", "1", "one:2222", "one:8443", "first", "home")
        self.pod = self.store.write(pods.register, registration, shared=True)
        self.path = f"/pods/{self.pod.id}"
        # The store tells the real time.
        self.clock.advance(self.pod.started_at.timestamp() - NOW)

    def state(self):
        [found] = self.api("GET", "/pods")["items"]
        self.assertEqual(found, self.api("GET", self.path))
        return found["state"]

    def test_drained_and_taken_up_again(self):
        self.assertEqual(self.state(), "serving")
        self.assertEqual(self.api("POST", f"{self.path}/drain")["state"], "draining")
        self.assertEqual(self.state(), "draining")
        self.assertEqual(self.api("POST", f"{self.path}/resume")["state"], "serving")

    def test_gone_and_deleted(self):
        answer = self.api("DELETE", self.path, expect=409)
        self.assertIn("is alive: stop it first", answer["detail"])
        self.clock.advance(LEASE_SECONDS + 1)
        self.assertEqual(self.state(), "gone")
        self.store.write(pods.leave, self.pod.id, reason="stopped")
        self.assertEqual(self.state(), "stopped")
        self.api("DELETE", self.path)
        self.assertEqual(self.api("GET", "/pods")["items"], [])
        self.api("DELETE", self.path, expect=404)

    def test_administrators_only(self):
        for method, path in (("DELETE", ""), ("POST", "/drain"), ("POST", "/resume")):
            for role in (Role.AUDITOR, Role.USER):
                self.api(method, f"{self.path}{path}", expect=403, role=role)
