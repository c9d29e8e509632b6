"""The commented pod.toml, and the pages that are made of it and of the code, have everything."""

import tomllib

from twisted.trial.unittest import SynchronousTestCase

from release import reference
from tunnelcloud.cli.commands import COMMANDS
from tunnelcloud.settings import PodSettings


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
