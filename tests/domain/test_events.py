"""The audit catalogue, the code and docs/audit.md say the same."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tunnelcloud.domain.events import CATALOGUE, AuditEvent, UnknownEvent

PACKAGE = Path(tunnelcloud.__file__).parent
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "audit.md"
_ROW = re.compile(r"^\| `([a-z_.]+)` \| (.*?) \| (.*?) \|$", re.MULTILINE)
_RECORDED = re.compile(r'AuditEvent\(\s*(?:event=)?"([a-z_.]+)"')


class CatalogueTests(SynchronousTestCase):
    def test_only_what_the_catalogue_has_can_be_recorded(self):
        AuditEvent("token.created", data={"token_id": "tok_1"})
        self.assertRaises(UnknownEvent, AuditEvent, "token.eaten")
        self.assertRaises(UnknownEvent, AuditEvent, "token.created", data={"secret": "x"})

    def test_the_code_names_no_other_event(self):
        for path in PACKAGE.rglob("*.py"):
            for name in _RECORDED.findall(path.read_text("utf-8")):
                self.assertIn(name, CATALOGUE, str(path))

    def test_each_event_is_recorded_by_somebody(self):
        source = "".join(
            path.read_text("utf-8") for path in PACKAGE.rglob("*.py") if path.name != "events.py"
        )
        for name in CATALOGUE:
            verb = name.partition(".")[2]  # of what all kinds have, the name is put together
            self.assertTrue(f'"{name}"' in source or f'"{verb}"' in source, name)

    def test_meanings_are_shown_on_a_page_as_they_are(self):
        for kind in CATALOGUE.values():
            self.assertNotIn("`", kind.meaning, kind.name)

    def test_the_document_lists_each_event_with_its_fields(self):
        rows = _ROW.findall(DOCUMENT.read_text("utf-8"))
        documented = {
            name: (meaning, re.findall(r"`(\w+)`", fields)) for name, meaning, fields in rows
        }
        catalogue = {kind.name: (kind.meaning, list(kind.fields)) for kind in CATALOGUE.values()}
        self.assertEqual(documented, catalogue)
