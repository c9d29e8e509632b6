from tests.web.support import ApiTestCase
from tunnelcloud.domain.objects.users import Role


class SettingsTests(ApiTestCase):
    def test_what_is_set_and_changed(self):
        first = self.ask("GET", "/api/v1/settings", role=Role.AUDITOR)
        nothing = {
            "audit_retention_days": 400,
            "audit_max_mib": 4096,
            "session_retention_days": 400,
            "target_check_seconds": 60,
        }
        self.assertEqual(first.json, nothing)
        tag = {"If-Match": first.headers["etag"]}
        changed = self.api("PATCH", "/settings", {"audit_retention_days": 365}, headers=tag)
        self.assertEqual(changed, {**nothing, "audit_retention_days": 365})
        self.assertEqual(self.api("GET", "/settings"), changed)
        late = self.ask("PATCH", "/api/v1/settings", {"session_retention_days": 1}, headers=tag)
        self.assertEqual(late.status, 412)
        self.assertEqual(self.api("PATCH", "/settings", {}), changed)
        [event] = self.api("GET", "/audit?event=settings.changed")["items"]
        self.assertEqual(
            event["data"]["changes"], {"audit_retention_days": {"from": 400, "to": 365}}
        )

    def test_what_cannot_be(self):
        for fields in [
            {"audit_retention_days": 0},
            {"audit_retention_days": 36_501},
            {"session_retention_days": "1"},
            {"target_check_seconds": 9},
        ]:
            answer = self.ask("PATCH", "/api/v1/settings", fields)
            self.assertEqual((answer.status, answer.faults), (422, list(fields)))
