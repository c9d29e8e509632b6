"""Whether a connector is attached is one answer, right at once for this pod's own links."""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from tests.web.portal.browser import PortalTestCase
from tests.web.support import NOW, ToldPod
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import schema
from tunnelcloud.web.interfaces import ConnectorHealth
from tunnelcloud.web.routes import SHOWN_AT_ONCE

AT = datetime.fromtimestamp(NOW, UTC)


def ago(seconds):
    return AT - timedelta(seconds=seconds)


class AttachmentTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.tunnel = self.make_tunnel()
        site = self.tunnel["site_id"]
        self.connector = self.api("POST", "/connectors", {"name": "paris-1", "site_id": site})
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.connectors).values(joined_at=ago(3600))
            )
        )
        self.browser = self.signed_in(Role.ADMIN)

    def seen(self, seconds):
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.connectors).values(last_seen_at=ago(seconds))
            )
        )

    def attached(self):
        """Ask everywhere; all have to say the same."""
        status = self.api("GET", f"/connectors/{self.connector['id']}")["status"]
        for path in ("/admin/tunnels", "/admin/sites", f"/admin/sites/{self.tunnel['site_id']}"):
            page = self.browser.get(path).body.decode()
            self.assertEqual("site offline" not in page.lower(), status == "attached", path)
        overview = self.browser.get("/admin").body.decode()
        self.assertEqual("site offline" not in overview.lower(), status == "attached")
        return status == "attached"

    def test_a_list_of_connectors_looks_once_at_what_is_attached(self):
        """And in the reactor's thread: connectors come and go there."""
        looks = []
        for name in ("attached_connectors", "lost_connectors"):
            look = getattr(self.live, name)

            def noted(name=name, look=look):
                looks.append((name, threading.current_thread() is threading.main_thread()))
                return look()

            self.patch(ToldPod, name, lambda _, noted=noted: noted())
        for number in range(2, SHOWN_AT_ONCE + 3):
            connector = {"name": f"paris-{number}", "site_id": self.tunnel["site_id"]}
            self.api("POST", "/connectors", connector)
        looks.clear()
        self.assertEqual(len(self.api("GET", "/connectors")["items"]), SHOWN_AT_ONCE + 2)
        self.assertEqual(looks, [("attached_connectors", True), ("lost_connectors", True)])

    def test_here(self):
        self.live.health = {self.connector["id"]: ConnectorHealth(1.0, 0, "1")}
        self.seen(3600)
        self.assertTrue(self.attached())

    def test_elsewhere(self):
        self.seen(50)
        self.assertTrue(self.attached())
        self.seen(61)
        self.assertFalse(self.attached())

    def test_what_was_lost_here_is_gone_at_once(self):
        self.seen(20)
        self.live.lost = {self.connector["id"]: ago(19)}
        self.assertFalse(self.attached())

    def test_a_note_of_this_pod_that_was_on_its_way_says_nothing(self):
        self.seen(9)
        self.live.lost = {self.connector["id"]: ago(10)}
        self.assertFalse(self.attached())

    def test_another_pod_saw_it_since(self):
        self.live.lost = {self.connector["id"]: ago(30)}
        self.seen(10)
        self.assertTrue(self.attached())

    def test_a_pod_that_just_started_believes_no_note_of_before(self):
        self.live.started_at = ago(5)
        self.seen(10)
        self.assertFalse(self.attached())
        self.seen(2)
        self.assertTrue(self.attached())
