"""Whoever said it: what the audit keeps moves no cursor, ends no line and turns no text around."""

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.store import audit

SAID = "a\x1b[2J\r\nb\u202e\x00\x9b"
SHOWN = "a\\x1b[2J\\r\\nb\\u202e\\x00\\x9b"


class AuditTextsContract:
    def test_every_field(self):
        store = self.open()
        event = AuditEvent(
            "user.changed",
            actor=SAID,
            user_name=SAID,
            tunnel_name=SAID,
            source_ip="192.0.2.1",
            data={"object_name": SAID, "changes": {SAID: {"from": None, "to": [SAID, 5, True]}}},
        )
        store.write(lambda transaction: transaction.audit(event))
        [kept] = store.read(audit.list_page, event="user.changed").items
        self.assertEqual(
            (kept.event.actor, kept.event.user_name, kept.event.tunnel_name), (SHOWN,) * 3
        )
        changes = {SHOWN: {"from": None, "to": [SHOWN, 5, True]}}
        self.assertEqual(kept.event.data, {"object_name": SHOWN, "changes": changes})

    def test_what_is_long_stays_whole(self):
        store = self.open()
        event = AuditEvent("user.changed", data={"object_name": "\n" * 5000})
        store.write(lambda transaction: transaction.audit(event))
        [kept] = store.read(audit.list_page, event="user.changed").items
        self.assertEqual(kept.event.data["object_name"], "\\n" * 5000)


class SQLiteAuditTextsTests(AuditTextsContract, SQLiteCase):
    pass


class PostgresAuditTextsTests(AuditTextsContract, PostgresCase):
    pass
