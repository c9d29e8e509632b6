from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.users import Role


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

    def test_an_authority_s_question(self):
        self.answers["token"] = "token.thumbprint"
        place = "/.well-known/acme-challenge"
        self.assertEqual(self.get(f"{place}/token"), (200, "token.thumbprint"))
        self.assertEqual(self.get(f"{place}/other"), (404, "no such challenge\n"))
        self.assertEqual(self.get(f"{place}/%FF")[0], 404)

    def test_a_warning_is_in_nobodys_way(self):
        self.wrong = "no certificate"
        self.assertEqual(self.get("/readyz"), (200, "ready\nwarning: no certificate\n"))

    def metrics(self, peer="127.0.0.1", host="127.0.0.1:8080", *headers):
        lines = ["GET /metrics HTTP/1.1", *([f"Host: {host}"] if host else ()), *headers, "", ""]
        answer = self.raw("\r\n".join(lines).encode(), peer)
        return answer.status, answer.body.decode()

    def test_metrics_for_this_machine(self):
        for peer, host in (
            ("127.0.0.1", "127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("::ffff:127.0.0.1", "localhost"),
        ):
            status, text = self.metrics(peer, host)
            self.assertEqual(status, 200)
            self.assertIn("opened_channels_total 3.0\n", text)

    def test_no_metrics_for_strangers(self):
        """They name sites, and each look costs milliseconds.  A proxy here speaks for anybody."""
        for asked in (
            ("192.0.2.1",),
            ("127.0.0.1", "portal.example.com"),
            ("127.0.0.1", "127.0.0.1", "X-Forwarded-For: 127.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "Forwarded: for=127.0.0.1"),
            ("127.0.0.1", "127.0.0.1", "Via: 1.1 proxy"),
            ("192.0.2.1", "127.0.0.1"),
        ):
            status, text = self.metrics(*asked)
            self.assertEqual(status, 403, asked)
            self.assertIn("[metrics]", text)
            self.assertNotIn("opened_channels", text)

    def test_known_hosts(self):
        status, text = self.get("/known_hosts")
        self.assertEqual(status, 200)
        self.assertEqual(text.splitlines()[0], "[pod.example.com]:2222 ssh-ed25519 AAAA")
        self.assertEqual(len(text.splitlines()), 4)

    def test_host_keys(self):
        """Each key once, as ssh would show it, with the lines of every address."""
        answer = self.ask("GET", "/api/v1/host-keys", role=Role.AUDITOR).json
        self.assertIsNone(answer["next_cursor"])
        ed25519, rsa = answer["items"]
        self.assertEqual((ed25519["algorithm"], rsa["algorithm"]), ("ssh-ed25519", "ssh-rsa"))
        self.assertEqual(ed25519["fingerprint"], "SHA256:abc")
        self.assertEqual(ed25519["use"], "current")
        self.assertEqual(
            rsa["known_hosts"],
            ["[pod.example.com]:2222 ssh-rsa AAAA", "[db.example.com]:2222 ssh-rsa AAAA"],
        )
