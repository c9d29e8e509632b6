"""A target is checked through the pod: for its user by ``ssh pod doctor``, and by the API."""

import json
import queue
import socket
from datetime import UTC, datetime, timedelta

from tests.integration.processes import PATIENCE
from tests.integration.targets import GreetingTarget, TLSTarget
from tests.integration.worlds import WorldCase


class DoctorTests(WorldCase):
    def test_doctor(self):
        status, output, errors = self.world.client.run(
            "alice", key=self.world.key, command=["doctor", "echo"]
        )
        self.assertEqual(status, 0, errors)
        self.assertIn(b"connect", output)

    def doctor(self, name, address, port):
        """Have the pod check a tunnel, for its user and for the API; give what both found."""
        do = self.world.do
        do("tunnel", "create", name, "--site", "paris", "--address", address, "--port", port,
           "--check", "tls")  # fmt: skip
        self.addCleanup(do, "tunnel", "delete", name, "--yes")
        do("assign", name, "--user", "alice", "--method", "key")
        status, output, errors = self.world.client.run(
            "alice", key=self.world.key, command=["doctor", name, "--json"]
        )
        step = json.loads(output)[-1]
        self.assertEqual(step["name"], "tls", errors)
        self.assertEqual(status, 0 if step["ok"] else 1)
        tunnel = do("tunnel", "show", name)
        found = self.world.post(f"tunnels/{tunnel['id']}/check")["steps"][-1]
        self.assertEqual({**found, "milliseconds": 0}, {**step, "milliseconds": 0})
        last = do("tunnel", "show", name)["last_check"]
        self.assertEqual((last["ok"], last["text"]), (found["ok"], found["text"]))
        return found

    def test_a_targets_certificate(self):
        for name, days, ok, warning in [
            ("tls-good", 90, True, ""),
            ("tls-soon", 3.5, True, "ends in 3 days"),
            ("tls-over", -2.5, False, "ended 2 days ago"),
        ]:
            target = TLSTarget("localhost", datetime.now(UTC) + timedelta(days=days))
            self.addCleanup(target.close)
            found = self.doctor(name, "localhost", target.port)
            self.assertEqual((found["ok"], found["warning"]), (ok, warning))
            self.assertEqual(found["certificate"]["subject"], "localhost")
            ends = datetime.fromisoformat(found["certificate"]["ends_at"])
            self.assertEqual(ends, target.ends)

    def test_a_target_that_speaks_first_sees_a_check_end_in_order(self):
        """One that greets a moment after the connection gets no reset."""
        ends = queue.Queue()
        target = GreetingTarget(ends.put)
        self.addCleanup(target.close)
        tunnel = self.world.do("tunnel", "create", "greets", "--site", "paris",
                               "--address", "127.0.0.1", "--port", target.port)  # fmt: skip
        self.addCleanup(self.world.do, "tunnel", "delete", "greets", "--yes")
        for _ in range(3):
            found = self.world.post(f"tunnels/{tunnel['id']}/check")
            self.assertTrue(found["steps"][-1]["ok"])
            self.assertEqual(ends.get(timeout=PATIENCE), "ended")

    def test_a_target_that_has_no_certificate(self):
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(silent.close)
        for name, port, words in [
            ("tls-echo", self.world.echo.port, ""),
            ("tls-silent", silent.getsockname()[1], "didn't answer the TLS hello"),
        ]:
            found = self.doctor(name, "127.0.0.1", port)
            self.assertFalse(found["ok"])
            self.assertIsNone(found["certificate"])
            self.assertIn(words, found["text"])
