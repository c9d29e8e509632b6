from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.connector.settings import read_connector_settings
from tunnelcloud.settings_files import BadSettings


class ConnectorSettingsTests(SynchronousTestCase):
    def read(self, text, state=None):
        self.path = Path(self.mktemp())
        self.path.write_text(text)
        return read_connector_settings(self.path, state)

    def test_values(self):
        settings = self.read('state_directory = "/a"\nallow = ["10.0.0.0/8"]\ndeny = []')
        self.assertEqual(settings.state_directory, Path("/a"))
        self.assertEqual((settings.allow, settings.deny), (("10.0.0.0/8",), ()))

    def test_the_command_line_overrides_the_state_directory(self):
        self.assertEqual(
            self.read('state_directory = "/a"', Path("/b")).state_directory, Path("/b")
        )
        self.assertEqual(read_connector_settings(None, Path("/b")).state_directory, Path("/b"))

    def test_faults_name_file_key_and_what_is_allowed(self):
        for text, key, advice in [
            ("alow = []", "alow", "allowed here: state_directory, allow, deny"),
            ("allow = 'x'", "allow", "list"),
            ("deny = [1]", "deny", "list"),
            ("state_directory = 1", "state_directory", "path"),
            ("allow =", "is not TOML", "Invalid value"),
        ]:
            error = self.assertRaises(BadSettings, self.read, text)
            for part in (str(self.path), key, advice):
                self.assertIn(part, str(error))

    def test_every_fault_at_once(self):
        error = self.assertRaises(BadSettings, self.read, "a = 1\nallow = 2")
        self.assertEqual(len(str(error).splitlines()), 2)

    def test_missing_file(self):
        error = self.assertRaises(BadSettings, read_connector_settings, Path("/nowhere/x"), None)
        self.assertIn("/nowhere/x: can't be read", str(error))
