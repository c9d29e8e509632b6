"""`tunnelcloud apply` names the file in which something is wrong."""

import json
from pathlib import Path

from tests.cli.support import CommandTestCase


class RefusedTests(CommandTestCase):
    def test_the_api_refuses_a_file(self):
        told = {"errors": [{"field": "connectors.one.site", "message": "there is no site 'rome'"}]}
        self.api.override = (409, "application/problem+json", json.dumps(told))
        file = Path(self.mktemp())
        file.write_text("[connectors.one]\nsite = 'rome'\n")
        line = self.fail_line("apply", str(file))
        self.assertEqual(line, f"Error: {file}: connectors.one.site: there is no site 'rome'")
