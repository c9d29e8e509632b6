"""Every event is what its class of OCSF asks for.

`ocsf-1.5.0.json` has the schema's facts: attributes, those that are required, kinds of values.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.events import CATALOGUE, AuditEvent, AuditRecord, KeptEvent
from tunnelcloud.domain.ocsf import OCSF_VERSION, ocsf_document

SCHEMA = json.loads((Path(__file__).parent / "ocsf-1.5.0.json").read_text())
KINDS = {"str": str, "int": int, "bool": bool}
AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
NUMBERS = {"port", "count", "seconds", "bytes_to_target", "bytes_from_target"}


def full(kind):
    """Make an event that has all that it can have."""
    data = {name: 7 if name in NUMBERS else f"a {name}" for name in kind.fields}
    if "acknowledged" in data:
        data["acknowledged"] = True
    return AuditEvent(
        kind.name,
        actor="boss",
        actor_id="usr_boss",
        user_id="usr_alice",
        user_name="alice",
        tunnel_id="tun_db",
        tunnel_name="db",
        session_id="ses_1",
        source_ip="192.0.2.7",
        pod_id="pod_1",
        data=data,
    )


def document(event):
    return ocsf_document(AuditRecord("evt_1", AT, event))


class OcsfTests(SynchronousTestCase):
    def hold(self, value, shape, where):
        """Hold an object to a class or to an object of the schema."""
        self.assertIsInstance(value, dict, where)
        self.assertEqual(set(value) - set(shape["attributes"]), set(), where)
        self.assertEqual(set(shape["required"]) - set(value), set(), where)
        if "at_least_one" in shape:
            self.assertTrue(set(shape["at_least_one"]) & set(value), where)
        for name, one in value.items():
            kind = SCHEMA["types"].get(name)
            if kind in KINDS:
                self.assertIs(type(one), KINDS[kind], f"{where}.{name}")
            elif kind in SCHEMA["objects"]:
                self.hold(one, SCHEMA["objects"][kind], f"{where}.{name}")

    def test_every_event_fits_its_class(self):
        for kind in CATALOGUE.values():
            for event in (full(kind), AuditEvent(kind.name)):
                made = json.loads(json.dumps(document(event)))
                shape = SCHEMA["classes"][str(made["class_uid"])]
                self.hold(made, shape, kind.name)
                self.assertIn(made["activity_id"], shape["activities"], kind.name)
                self.assertEqual(made["class_name"], shape["name"])
                self.assertEqual(made["category_uid"], made["class_uid"] // 1000)
                self.assertEqual(made["type_uid"], made["class_uid"] * 100 + made["activity_id"])
                self.assertEqual(made["metadata"]["event_code"], kind.name)

    def test_nothing_gets_lost(self):
        """Each value of an event is somewhere; times and lengths are in other units."""
        for kind in CATALOGUE.values():
            text = json.dumps(document(full(kind)))
            for name in kind.fields:
                if name not in NUMBERS | {"acknowledged"}:
                    self.assertIn(f'"a {name}"', text, kind.name)
            for value in ("evt_1", "192.0.2.7", "boss", "usr_boss", "pod_1"):
                self.assertIn(f'"{value}"', text, kind.name)

    def test_a_refused_login(self):
        data = {"login_name": "mallory", "method": "token", "reason": "unknown token", "count": 3}
        made = document(AuditEvent("login.refused", source_ip="192.0.2.7", data=data))
        self.assertEqual((made["class_uid"], made["activity_id"]), (3002, 1))
        self.assertEqual((made["status_id"], made["status_detail"]), (2, "unknown token"))
        self.assertEqual((made["user"], made["count"]), ({"name": "mallory"}, 3))
        self.assertEqual(made["src_endpoint"], {"ip": "192.0.2.7"})
        self.assertEqual(made["time"], 1_767_323_045_678)
        self.assertEqual(made["metadata"]["version"], OCSF_VERSION)
        self.assertEqual(made["unmapped"], {"method": "token"})
        self.assertEqual(made["actor"]["user"], {"name": "system"})

    def test_a_closed_channel(self):
        made = document(full(CATALOGUE["channel.closed"]))
        self.assertEqual((made["class_uid"], made["activity_id"]), (4001, 2))
        self.assertEqual(made["traffic"], {"bytes_in": 7, "bytes_out": 7})
        self.assertEqual(made["dst_endpoint"]["hostname"], "a destination")
        self.assertEqual(made["dst_endpoint"]["svc_name"], "db")
        opened = AuditEvent("channel.closed", data={"opened_at": "2026-01-02T03:04:04.500Z"})
        self.assertEqual(document(opened)["start_time"], 1_767_323_044_500)

    def test_an_event_of_another_version(self):
        for name, expected in [
            ("robot.deleted", (3004, 4)),
            ("robot.danced", (3004, 99)),
            ("user.danced", (3001, 99)),
            ("odd", (3004, 99)),
        ]:
            made = document(KeptEvent(name))
            self.assertEqual((made["class_uid"], made["activity_id"]), expected)
            self.hold(made, SCHEMA["classes"][str(made["class_uid"])], name)
