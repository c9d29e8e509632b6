"""Identity providers as objects: through the API, and on the settings page."""

import html

from tests.web.portal.provider_case import CALLBACK, ProviderCase
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.pki.sealing import passing_sealer
from tunnelcloud.store import groups


class ProviderObjectTests(ProviderCase):
    def test_a_secret_goes_in_and_never_comes_out(self):
        made = self.make_provider(client_secret="canary-1")
        path = f"/identity-providers/{made['id']}"
        self.assertIs(made["has_client_secret"], True)
        self.assertEqual(made["redirect_uri"], f"https://portal.example.com{CALLBACK}")
        changed = self.api("PATCH", path, {"client_secret": "canary-2", "title": "New"})
        listed = self.api("GET", "/identity-providers")
        events = self.api("GET", "/audit")
        self.assertNotIn("canary", f"{made}{changed}{listed}{events}")
        self.assertEqual((changed["title"], changed["has_client_secret"]), ("New", True))
        row = self.store.read(
            lambda transaction: transaction.connection.exec_driver_sql(
                "SELECT sealed_client_secret FROM identity_providers"
            ).scalar()
        )
        self.assertNotIn(b"canary", row)

    def test_what_cannot_be(self):
        for fields, at in [
            ({"issuer": "http://login.example.com"}, "issuer"),
            ({"issuer": "ftp://x"}, "issuer"),
            ({"issuer": "https://x/?a=b"}, "issuer"),
            ({"link_by": "luck"}, "link_by"),
            ({"scopes": ["a b"]}, "scopes.0"),
        ]:
            body = {"name": "x", "issuer": "https://x", "client_id": "c", **fields}
            answer = self.ask("POST", "/api/v1/identity-providers", body)
            self.assertEqual((answer.status, answer.faults), (422, [at]), fields)
        body = {"name": "x", "issuer": "https://x", "client_id": "c", "group_map": {"x": "nobody"}}
        answer = self.ask("POST", "/api/v1/identity-providers", body)
        self.assertEqual((answer.status, answer.faults), (409, ["group_map"]))

    def test_an_issuer_stays(self):
        path = f"/api/v1/identity-providers/{self.make_provider()['id']}"
        answer = self.ask("PATCH", path, {"issuer": "https://other.example.com"})
        self.assertEqual(answer.status, 422)

    def test_another_pods_secrets(self):
        made = self.make_provider()
        other = passing_sealer()
        sealed = other.seal(b"x", f"client secret of {made['id']}")
        self.store.write(
            lambda transaction: transaction.connection.exec_driver_sql(
                "UPDATE identity_providers SET sealed_client_secret = ?", (sealed,)
            )
        )
        _, answer = self.sign_in(status=503)
        self.assertIn(b"sealing.key", answer.body)


class ProviderPageTests(ProviderCase):
    NEW = "/admin/settings/providers/new"

    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)
        self.store.write(groups.create, name="dba")

    def add(self, status=303, **fields):
        form = {
            "name": "corp",
            "issuer": self.provider.issuer,
            "client_id": "tunnelcloud",
            "client_secret": self.provider.client_secret,
            "create_users": "on",
            "groups_claim": "roles",
            "group_map": "db=admins = dba\r\n\r\n",
            **fields,
        }
        return self.browser.send(self.NEW, form, status=status)

    def test_it_is_added_used_changed_and_deleted(self):
        self.assertIn(b"There is none: people sign in", self.browser.get("/admin/settings").body)
        path = self.add().headers["location"]
        (made,) = self.api("GET", "/identity-providers")["items"]
        self.assertEqual(made["group_map"], {"db=admins": "dba"})
        self.assertIn(made["redirect_uri"].encode(), self.browser.get(path).body)
        self.assertIn(b"corp", self.browser.get("/admin/settings").body)
        self.sign_in(roles=["db=admins"])
        # Saved as it is shown: nothing changes, the secret among it.
        self.browser.send(path, action=path)
        (same,) = self.api("GET", "/identity-providers")["items"]
        self.assertEqual({**same, "checked_at": made["checked_at"]}, made)
        self.sign_in()
        self.browser.send(path, {"no_client_secret": "on", "title": "Corp"}, action=path)
        (changed,) = self.api("GET", "/identity-providers")["items"]
        self.assertEqual((changed["title"], changed["has_client_secret"]), ("Corp", False))
        self.browser.send(f"{path}/delete", action=f"{path}/delete")
        self.assertEqual(self.api("GET", "/identity-providers")["items"], [])

    def test_what_is_wrong_is_said_at_the_field_and_what_was_typed_stays(self):
        for field, value in [
            ("issuer", "http://x"),
            ("group_map", "dba"),
            ("group_map", "x = nobody"),
            ("name", "A b"),
            ("client_id", ""),
        ]:
            page = html.unescape(self.add(422, **{field: value}).body.decode())
            self.assertIn(f'id="{field}-error"', page)
            self.assertIn(value, page)
            self.assertNotIn(self.provider.client_secret, page)
        self.assertEqual(self.api("GET", "/identity-providers")["items"], [])

    def test_an_auditor_reads(self):
        path = self.add().headers["location"]
        auditor = self.signed_in(Role.AUDITOR)
        page = auditor.get(path).body
        self.assertNotIn(b'<button class="main"', page)
        self.assertNotIn(self.provider.client_secret.encode(), page)
        auditor.get(self.NEW, 403)
