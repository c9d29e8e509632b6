"""Lengths of time in the portal's forms: none without its unit."""

import html

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.durations import HOW
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import preferences

SETTINGS = "/admin/settings"


class LengthTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)

    def set(self, status=303, **typed):
        answer = self.browser.send(SETTINGS, typed, action=SETTINGS, status=status)
        return html.unescape(answer.body.decode())

    def test_settings_have_units(self):
        self.set(
            audit_retention_days="90d", session_retention_days="48h", target_check_seconds="2m"
        )
        found = self.store.read(preferences.settings)
        self.assertEqual(
            (found.audit_retention_days, found.session_retention_days, found.target_check_seconds),
            (90, 2, 120),
        )
        page = self.browser.get(SETTINGS).body.decode()
        for name, value in [("audit", "90d"), ("session", "2d")]:
            self.assertIn(f'name="{name}_retention_days" type="text" value="{value}"', page)
        self.assertIn('name="target_check_seconds" type="text" value="2m"', page)
        self.set(audit_retention_days="", session_retention_days="", target_check_seconds="")
        found = self.store.read(preferences.settings)
        self.assertIsNone(found.audit_retention_days)
        self.assertIsNone(found.target_check_seconds)

    def test_an_auditor_reads_what_is_set(self):
        self.set(audit_retention_days="90d", session_retention_days="", target_check_seconds="")
        page = self.signed_in(Role.AUDITOR).get(SETTINGS).body.decode()
        for label, value in [
            ("Keep the audit for", "90d"),
            ("Keep past sessions for", "for ever"),
            ("Check interval", "never"),
        ]:
            self.assertIn(f"<dt>{label}</dt><dd>{value}</dd>", page)

    def test_an_auditor_reads_objects_in_words(self):
        tunnel = self.make_tunnel()
        policy = self.api(
            "POST",
            "/policies",
            {"name": "p", "max_session_seconds": 28_800, "approval": "self",
             "source_networks": ["10.0.0.0/8", "192.0.2.0/24"]},
        )  # fmt: skip
        auditor = self.signed_in(Role.AUDITOR)
        page = auditor.get(f"/admin/policies/{policy['id']}/settings").body.decode()
        for label, value in [
            ("Longest session", "8h"),
            ("End a channel that is idle for", "\N{EN DASH}"),
            ("Approval", "by the user, in the portal"),
            ("From these networks only", "10.0.0.0/8, 192.0.2.0/24"),
        ]:
            self.assertIn(f"<dt>{label}</dt><dd>{value}</dd>", page)
        page = auditor.get(f"/admin/tunnels/{tunnel['id']}/settings").body.decode()
        self.assertIn("<dt>Enabled: it may be opened</dt><dd>yes</dd>", page)
        self.assertIn("<dt>Site</dt><dd>paris</dd>", page)
        for path in (f"policies/{policy['id']}/settings", f"tunnels/{tunnel['id']}/settings"):
            page = auditor.get(f"/admin/{path}").body.decode()
            self.assertNotRegex(page, "<dd>(True|False)</dd>")

    def test_what_the_settings_refuse(self):
        for name, typed, words in [
            ("target_check_seconds", "60", HOW),
            ("target_check_seconds", "9s", "use 10s or more"),
            ("target_check_seconds", "2d", "use 1d or less"),
            ("audit_retention_days", "90", HOW),
            ("audit_retention_days", "36h", "use whole days, such as 2d"),
            ("audit_retention_days", "0d", "use 1d or more"),
            ("session_retention_days", "soon", HOW),
        ]:
            page = self.set(422, **{name: typed})
            self.assertIn(f'id="{name}-error">{words}</p>', page)
            self.assertIn(f'value="{typed}"', page)

    def test_a_session_was_signed_in_for_a_length_of_time(self):
        tunnel, user = self.make_tunnel(), self.make_user()
        policy = self.api("POST", "/policies", {"name": "short", "max_session_seconds": 3600})
        self.assign(tunnel, user, policy_id=policy["id"])
        address = "/admin/explain?user=alice&tunnel=db&session_seconds="
        self.assertIn(b"Allowed", self.browser.get(f"{address}30m").body)
        self.assertIn(b"Refused", self.browser.get(f"{address}2h").body)
        for wrong in ("900", "0", "soon"):
            page = self.browser.get(f"{address}{wrong}", 422).body.decode()
            self.assertIn(f'id="session_seconds-error">{HOW}</p>', page)
        self.assertIn(b"use 366d or less", self.browser.get(f"{address}400d", 422).body)

    def test_a_policys_limits_are_lengths_too(self):
        for typed, words in [("0s", "use 1s or more"), ("400d", "use 366d or less")]:
            form = {"name": "p", "max_session_seconds": typed}
            page = self.browser.send("/admin/policies/new", form, status=422).body.decode()
            self.assertIn(f'id="max_session_seconds-error">{words}</p>', page)
