import json

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.pod.audit_log import write_audit_lines
from tunnelcloud.sinks.formats import json_line
from tunnelcloud.store.transaction import Committed

RECORD = AuditRecord(
    "evt_1",
    NOW,
    AuditEvent("login.refused", source_ip="192.0.2.7", data={"login_name": "a\x1b[31m\u202eb\n"}),
)


class AuditLogTests(SynchronousTestCase):
    def test_one_line_of_json_whatever_is_in_it(self):
        line = json_line(RECORD)
        self.assertTrue(line.isascii())
        self.assertTrue(line.isprintable())
        self.assertEqual(
            json.loads(line),
            {
                "id": "evt_1",
                "at": "2026-03-06T12:00:00.000Z",
                "event": "login.refused",
                "actor_kind": "system",
                "source_ip": "192.0.2.7",
                "data": {"login_name": "a\x1b[31m\u202eb\n"},
            },
        )

    def test_each_record_is_logged(self):
        seen = []
        globalLogPublisher.addObserver(seen.append)
        self.addCleanup(globalLogPublisher.removeObserver, seen.append)
        write_audit_lines(Committed((), (RECORD, RECORD)))
        lines = [event["line"] for event in seen if event["log_namespace"] == "tunnelcloud.audit"]
        self.assertEqual(lines, [json_line(RECORD)] * 2)
