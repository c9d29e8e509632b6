"""The CA is changed by the API and the pages: only by administrators, step by step."""

from tests.web.portal.browser import PortalTestCase
from tests.web.support import ApiTestCase
from tunnelcloud.domain.key_rotation import AUTHORITY, NEW_AUTHORITY
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.store import stored_secrets
from tunnelcloud.web.interfaces import Warned


class AuthorityMixin:
    def setUp(self):
        super().setUp()
        self.sealer = self.context.sealer
        self.first = CertificateAuthority.create(self.context.now())
        kept = self.sealer.keep(self.first.to_pem(), AUTHORITY)
        self.store.write(stored_secrets.keep_first, AUTHORITY, kept)

    def pin(self, name):
        kept = self.store.read(stored_secrets.load, name)
        return kept and CertificateAuthority.from_pem(self.sealer.take(kept, name)).pin


class AuthorityTests(AuthorityMixin, ApiTestCase):
    def test_the_steps(self):
        shown = self.api("GET", "/authority", role=Role.AUDITOR)
        self.assertEqual((shown["connectors_moved"], shown["connectors_left"]), (0, 0))
        [one] = shown["authorities"]
        self.assertEqual((one["use"], one["fingerprint"]), ("current", "ab" * 32))
        self.api("POST", "/authority/rotate", expect=204)
        second = self.pin(NEW_AUTHORITY)
        self.assertEqual(self.pin(AUTHORITY), self.first.pin)
        self.api("POST", "/authority/rotate", expect=409)
        self.api("POST", "/authority/retire", {}, expect=204)
        self.assertEqual(self.pin(AUTHORITY), second)
        self.assertIsNone(self.pin(NEW_AUTHORITY))
        [event] = self.api("GET", "/audit?event=authority.deleted")["items"]
        self.assertEqual(event["data"], {"fingerprint": self.first.pin.hex(), "left": 0})

    def test_administrators_only_and_in_turn(self):
        for step in ("rotate", "retire"):
            for role in (Role.AUDITOR, Role.USER):
                self.api("POST", f"/authority/{step}", {}, expect=403, role=role)
        answer = self.api("POST", "/authority/retire", {"force": True}, expect=409)
        self.assertIn("tunnelcloud authority rotate", answer["detail"])

    def test_what_ends_soon_is_said_where_a_pod_is_ready(self):
        self.context.live.endings.append(Warned("the CA of paris ends", "the CA ends"))
        self.assertEqual(self.ask("GET", "/readyz").body, b"ready\nwarning: the CA ends\n")


class PageTests(AuthorityMixin, PortalTestCase):
    def test_the_steps(self):
        browser = self.signed_in(Role.ADMIN)
        settings = "/admin/settings"
        self.context.live.endings.append(Warned("the CA ends", "a CA"))
        page = browser.get(settings).body.decode()
        self.assertIn(f'href="{settings}/authority/rotate"', page)
        self.assertIn("the CA ends", page)
        refused = browser.send(f"{settings}/authority/retire", status=409)
        self.assertIn(b"there is no new CA", refused.body)
        browser.send(f"{settings}/authority/rotate")
        self.assertIsNotNone(self.pin(NEW_AUTHORITY))
        browser.send(f"{settings}/authority/force/retire")
        self.assertIsNone(self.pin(NEW_AUTHORITY))
