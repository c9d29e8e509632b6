"""The commented pod.toml, and the pages that are made of it and of the code, have everything."""

import re
import tomllib
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from release import reference
from tunnelcloud.cli.commands import COMMANDS
from tunnelcloud.connector.settings import ConnectorSettings
from tunnelcloud.domain import policy
from tunnelcloud.settings import LISTENING, PodSettings


class SettingsFileTests(SynchronousTestCase):
    def setUp(self):
        self.text = (reference.ETC / "pod.toml").read_text()

    def test_it_names_every_setting_and_no_other(self):
        said = reference.settings_of(self.text)
        there = {name for name, one in said.items() if one.value}
        self.assertEqual(there, set(reference.names(PodSettings)))

    def test_its_values_are_the_defaults(self):
        self.assertEqual(PodSettings.model_validate(tomllib.loads(self.text)), PodSettings())

    def test_its_examples_can_be_read(self):
        for name, one in reference.settings_of(self.text).items():
            if one.value:
                tomllib.loads(f"x = {one.value}")
                self.assertNotIn("|", one.value + one.text, name)


class PageTests(SynchronousTestCase):
    def test_settings(self):
        page = reference.settings_page()
        self.assertIn('| `listen` | `["tcp:2222"]` | Twisted endpoint descriptions', page)
        self.assertIn("\n## [audit.syslog]\n\nRFC 5424 over TLS.\n", page)
        self.assertEqual(page.count("\n| `"), len(list(reference.names(PodSettings))))

    def test_commands(self):
        page = reference.commands_page()
        for name in COMMANDS:
            self.assertIn(f"\n## tunnelcloud {name}\n", page)
        self.assertIn("\n### tunnelcloud site create\n", page)
        self.assertIn("Usage: tunnelcloud site create [OPTIONS]", page)

    def test_metrics(self):
        page = reference.metrics_page()
        self.assertIn("| `tunnelcloud_logins_total` | counter | `method`, `result` | ", page)
        self.assertIn("| `tunnelcloud_session_seconds` | histogram |  | ", page)
        self.assertIn("| `tunnelcloud_spool_bytes` | gauge | `sink` | ", page)

    def test_ports(self):
        page = reference.ports_page()
        self.assertIn("| `[ssh] listen` | `tcp:2222` | The SSH front door | users |", page)
        self.assertEqual(set(reference.WHO_DIALS), set(LISTENING))

    def test_limits(self):
        page = reference.limits_page()
        self.assertIn("| login seconds | 60 |", page)
        self.assertIn("| `sessions` | 625 | of its 5,000 SSH sessions |", page)

    def test_refusals(self):
        page = reference.refusals_page()
        self.assertIn("| `no-connector` | site paris: no connector is attached | 2 |", page)
        source = Path(policy.__file__).read_text()
        said = re.findall(r'(?:Rule\(|yield |return )"([a-z_]+)", ', source)
        self.assertEqual(set(reference.RULE_NAMES), set(said))

    def test_the_api(self):
        page = reference.api_page()
        self.assertIn("\n## sites\n", page)
        self.assertIn("| `POST` | `/sites` | Create a site. | admin |", page)
        self.assertIn(
            "| `GET` | `/openapi.json` | Describe this API, in OpenAPI 3.1. | anybody |", page
        )

    def test_connector_settings(self):
        page = reference.connector_settings_page()
        for one in attrs.fields(ConnectorSettings):
            self.assertRegex(page, rf"(?m)^#?(\[{one.name}\]|{one.name} = )")

    def test_the_index_and_the_manual_have_each_page(self):
        docs = reference.ETC.parent / "docs"
        index, settings = (docs / "index.md").read_text(), (docs / "conf.py").read_text()
        for name in reference.PAGES:
            self.assertIn(f"\nreference/{name}\n", index)
        for name in ("commands", "settings", "connector-settings"):
            self.assertIn(f'"reference/{name}"', settings)
