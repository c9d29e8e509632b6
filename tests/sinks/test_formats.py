import json
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW
from tunnelcloud.domain.events import CATALOGUE, AuditEvent, AuditRecord
from tunnelcloud.sinks.formats import FORMATS, json_line, syslog_message

RFC_5424 = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ([!-~]{1,48}) "
    rb"([!-~]{1,128}) ([!-~]{1,32}) - (.*)"
)


def record(event="login.refused", **data):
    return AuditRecord("evt_1", NOW, AuditEvent(event, source_ip="192.0.2.7", data=data))


def _texts(value):
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    return [value]


class FormatTests(SynchronousTestCase):
    def test_one_line_of_ascii_in_each(self):
        odd = record(login_name="a\n\x1b[31m\u202eb")
        for write in FORMATS.values():
            line = write(odd)
            self.assertTrue(line.isascii() and line.isprintable())
            self.assertIn(odd.event.data["login_name"], _texts(json.loads(line)))
        self.assertEqual(json.loads(FORMATS["ecs"](odd))["event"]["outcome"], "failure")

    def test_a_token_reads_like_no_user_in_any(self):
        made = AuditEvent("site.created", actor="alice", actor_id="api_" + "0" * 26)
        for write in FORMATS.values():
            self.assertRegex(write(AuditRecord("evt_1", NOW, made)), "api_token|API token")

    def test_syslog_is_as_the_rfc_has_it(self):
        for event in CATALOGUE:
            one = AuditRecord("evt_1", NOW, AuditEvent(event))
            match = RFC_5424.fullmatch(syslog_message(one, json_line(one), "pod-1.example.com"))
            self.assertTrue(match, event)
            self.assertEqual(match[6], event.encode()[:32])
            self.assertEqual(json.loads(match[7])["event"], event)
            self.assertEqual(match[1], b"108" if event.endswith("refused") else b"110")

    def test_a_host_without_a_name(self):
        for host, written in [("", b"-"), ("pod \u00e9", b"pod"), ("x" * 300, b"x" * 255)]:
            message = syslog_message(record(), "{}", host)
            self.assertEqual(RFC_5424.fullmatch(message)[3], written)
