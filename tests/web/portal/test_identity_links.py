"""An administrator links users with people at identity providers, and unlinks them."""

import html

from tests.web.portal.browser import Browser
from tests.web.portal.provider_case import ProviderCase
from tunnelcloud.domain.objects.users import Role


class LinkTests(ProviderCase):
    def setUp(self):
        super().setUp()
        self.made = self.make_provider(create_users=False)
        self.carol = self.make_user("carol")
        self.path = f"/users/{self.carol['id']}/identities"
        self.body = {"identity_provider_id": self.made["id"], "subject": "alice-at-corp"}

    def test_by_the_api(self):
        self.sign_in(status=403)
        linked = self.api("POST", self.path, self.body)
        self.assertEqual((linked["provider_name"], linked["subject"]), ("corp", "alice-at-corp"))
        browser, _ = self.sign_in()
        self.assertIn(b">carol</a>", browser.get("/account").body)
        (found,) = self.api("GET", self.path)["items"]
        self.assertEqual(found["subject"], "alice-at-corp")
        answer = self.ask("POST", f"/api/v1{self.path}", self.body)
        self.assertEqual((answer.status, answer.faults), (409, ["subject"]))
        self.api("DELETE", f"{self.path}/{self.made['id']}")
        browser.get("/", 303)
        self.sign_in(status=403)
        self.api("DELETE", f"{self.path}/{self.made['id']}", expect=404)
        self.assertEqual(self.api("GET", self.path)["items"], [])
        names = [one["event"] for one in self.api("GET", "/audit?event=identity.")["items"]]
        self.assertEqual(names, ["identity.unlinked", "identity.linked"])

    def test_who_cannot_be_linked(self):
        robot = self.make_user("robot", service=True)
        self.api("POST", f"/users/{robot['id']}/identities", self.body, expect=409)
        nobody = {**self.body, "identity_provider_id": "idp_" + "0" * 26}
        answer = self.ask("POST", f"/api/v1{self.path}", nobody)
        self.assertEqual((answer.status, answer.faults), (409, ["identity_provider_id"]))
        answer = self.ask("POST", f"/api/v1{self.path}", {**self.body, "subject": ""})
        self.assertEqual((answer.status, answer.faults), (422, ["subject"]))

    def test_on_the_page(self):
        admin = self.signed_in(Role.ADMIN)
        page = f"/admin/users/{self.carol['id']}"
        action = f"{page}/identities"
        form = {"identity_provider_id": self.made["id"], "subject": ""}
        shown = admin.send(page, form, action=action, status=422).body.decode()
        self.assertIn('id="subject-error">is required</p>', shown)
        admin.send(page, {**form, "subject": "alice-at-corp"}, action=action)
        shown = html.unescape(admin.get(f"{page}/settings").body.decode())
        self.assertIn("<code>alice-at-corp</code>", shown)
        browser, _ = self.sign_in(Browser(self))
        unlink = f"{action}/{self.made['id']}/unlink"
        self.assertIn(b"Unlink them from corp?", admin.get(unlink).body)
        admin.send(unlink, action=unlink)
        browser.get("/", 303)
        self.assertIn("They have no linked account", admin.get(f"{page}/settings").body.decode())
        self.assertNotIn(b"Link them", self.signed_in(Role.AUDITOR).get(page).body)
