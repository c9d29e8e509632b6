from prometheus_client import Counter

from tests.web.support import ApiTestCase


class OperationsTests(ApiTestCase):
    def get(self, path):
        answer = self.ask("GET", path, role=None)
        return answer.status, answer.body.decode()

    def test_health(self):
        self.assertEqual(self.get("/healthz"), (200, "ok\n"))

    def test_readiness(self):
        self.assertEqual(self.get("/readyz"), (200, "ready\n"))
        self.checks["database"] = lambda: "doesn't answer"
        self.checks["listeners"] = lambda: None
        self.assertEqual(self.get("/readyz"), (503, "database: doesn't answer\n"))

    def test_metrics(self):
        Counter("opened_channels", "Channels.", registry=self.registry).inc(3)
        status, text = self.get("/metrics")
        self.assertEqual(status, 200)
        self.assertIn("opened_channels_total 3.0\n", text)

    def test_known_hosts(self):
        self.assertEqual(
            self.get("/known_hosts"), (200, "[pod.example.com]:2222 ssh-ed25519 AAAA\n")
        )
