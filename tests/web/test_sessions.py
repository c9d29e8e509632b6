"""Sessions and their channels: who sees them, what they carry, and who ends them."""

from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import channels, sessions, tokens, tunnels
from tunnelcloud.store.sessions import LoginRecord
from tunnelcloud.web.interfaces import LiveChannel, LiveSession

LOGIN = LoginRecord("alice", "192.0.2.7", "OpenSSH_9.2", "pod_" + "0" * 26)
LATER = "2127-01-01T00:00:00.000Z"


class SessionTests(ApiTestCase):
    def setUp(self):
        super().setUp()
        self.user, self.tunnel = self.make_user(), self.make_tunnel()
        secret = self.api("POST", "/tokens", {"user_id": self.user["id"]})["token"]
        self.session = self.store.write(tokens.spend, hash_secret(secret), LOGIN).session
        tunnel = self.store.read(tunnels.get, self.tunnel["id"])
        self.channel = self.store.write(
            channels.open, self.session, tunnel, destination="db", port=5432
        )

    def test_live_bytes(self):
        site = self.tunnel["site_id"]
        connector = self.api("POST", "/connectors", {"name": "paris-1", "site_id": site})
        live = LiveChannel(self.channel.id, 10, 20, connector["id"], 1.5, 2.5)
        self.live.sessions = [LiveSession(self.session.id, 11, 22, 3.5, 4.5)]
        self.live.channels = {self.session.id: [live]}
        (shown,) = self.api("GET", f"/sessions?live=true&user_id={self.user['id']}")["items"]
        self.assertEqual((shown["bytes_to_target"], shown["bytes_from_target"]), (11, 22))
        (channel,) = self.api("GET", f"/sessions/{self.session.id}/channels")["items"]
        self.assertEqual((channel["bytes_to_target"], channel["bytes_from_target"]), (10, 20))
        self.assertEqual((channel["destination"], channel["port"]), ("db", 5432))
        self.assertEqual(channel["connector_id"], live.connector_id)
        self.assertEqual((shown["rate_to_target"], shown["rate_from_target"]), (3.5, 4.5))
        self.assertEqual((shown["user_name"], shown["tunnel_name"]), ("alice", None))
        self.assertEqual(self.api("GET", f"/sessions/{self.session.id}"), shown)
        names = {"user_name": "alice", "tunnel_name": "db", "connector_name": "paris-1"}
        rates = {"source_ip": "192.0.2.7", "rate_to_target": 1.5, "rate_from_target": 2.5}
        self.assertEqual({**channel, **names, **rates}, channel)
        self.assertEqual(self.api("GET", "/sessions?live=false")["items"], [])

    def test_what_is_open_elsewhere_or_over_has_no_rate(self):
        for path in ("/sessions", f"/sessions/{self.session.id}/channels"):
            (shown,) = self.api("GET", path)["items"]
            self.assertIsNone(shown["rate_to_target"])
        self.store.write(sessions.end, self.session.id, reason="done")
        self.live.sessions = [LiveSession(self.session.id, 11, 22, 3.5, 4.5)]
        (shown,) = self.api("GET", "/sessions")["items"]
        self.assertIsNone(shown["rate_from_target"])
        # Who is gone is still called what they were.
        self.api("DELETE", f"/users/{self.user['id']}")
        self.assertEqual(self.api("GET", "/sessions")["items"][0]["user_name"], "alice")

    def test_ending(self):
        path = f"/sessions/{self.session.id}"
        self.api("DELETE", f"{path}/channels/{self.channel.id}")
        self.api("DELETE", path)
        reason = "ended by administrator the-admin"
        self.assertEqual(self.live.ended, [(self.channel.id, reason), (self.session.id, reason)])
        found = self.api("GET", "/audit?limit=2")["items"]
        self.assertEqual(
            [one["event"] for one in found], ["session.end_requested", "channel.end_requested"]
        )
        self.assertEqual({one["actor_id"] for one in found}, {self.people[Role.ADMIN].id})
        self.assertEqual({one["session_id"] for one in found}, {self.session.id})
        self.store.write(sessions.end, self.session.id, reason="done")
        self.api("DELETE", path)
        self.assertEqual(len(self.live.ended), 2)

    def test_a_tokens_title_reads_like_nobody(self):
        made = self.api("POST", "/api-tokens", {"title": "alice", "role": "admin"})
        self.secrets["ci"] = made["token"]
        self.api("DELETE", f"/sessions/{self.session.id}", role="ci")
        self.assertEqual(self.live.ended, [(self.session.id, 'ended by API token "alice"')])
        (event,) = self.api("GET", "/audit?event=session.end_requested")["items"]
        self.assertEqual((event["actor_kind"], event["actor_id"]), ("api_token", made["id"]))

    def test_others_sessions_are_not_ones_own(self):
        for method, path in [
            ("GET", f"/me/sessions/{self.session.id}"),
            ("DELETE", f"/me/sessions/{self.session.id}"),
            ("GET", f"/me/sessions/{self.session.id}/channels"),
            ("DELETE", f"/me/sessions/{self.session.id}/channels/{self.channel.id}"),
        ]:
            self.api(method, path, role=Role.USER, expect=404)
        self.assertEqual(self.api("GET", "/me/sessions", role=Role.USER)["items"], [])
        self.assertEqual(self.live.ended, [])

    def test_the_audit_of_a_session(self):
        found = self.api("GET", f"/audit?session_id={self.session.id}")["items"]
        self.assertEqual([one["event"] for one in found], ["login.succeeded"])
        self.store.write(sessions.end, self.session.id, reason="done")
        found = self.api("GET", f"/audit?session_id={self.session.id}")["items"]
        self.assertEqual(
            [one["event"] for one in found], ["session.ended", "channel.closed", "login.succeeded"]
        )
        self.assertEqual(found[1]["data"]["port"], 5432)

    def test_what_was_when(self):
        started = self.api("GET", f"/sessions/{self.session.id}")["started_at"]
        for path in ["/audit", "/sessions", "/me/sessions"]:
            for query in [f"since={LATER}", "until=2020-01-01T00:00:00Z"]:
                self.assertEqual(self.api("GET", f"{path}?{query}")["items"], [], path)
        found = self.api("GET", f"/sessions?since={started}&until={LATER}")["items"]
        self.assertEqual([one["id"] for one in found], [self.session.id])
        found = self.api("GET", f"/audit?since={started}&event=login.succeeded")["items"]
        self.assertEqual([one["session_id"] for one in found], [self.session.id])
