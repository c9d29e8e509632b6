"""Who counts strangers counts their sites, too: a rented machine has 65,536 networks of IPv6."""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud

NETWORKS_ALONE = {
    "pod/login_attempts.py": "refusals in the audit have a sum for all, beyond 300 a minute",
    "pod/browser_logins.py": "its rooms count sites",
    "store/refusals.py": "as pod/login_attempts.py",
    "web/portal/pages/browser_login.py": "two addresses are compared",
    "web/portal/pages/device_login.py": "two addresses are compared",
    "web/portal/pages/requests.py": "two addresses are compared",
    "web/portal/session_start.py": "it is written down and counts nothing",
    "web/resources/device_logins.py": "it is written down for pods of the version before",
}
"""The modules that take a /64 for a source, and why that is enough there."""


class SiteTests(SynchronousTestCase):
    def test_every_count_of_networks_has_a_reason(self):
        """``source_groups`` gives a source with the networks around it: a room counts these."""
        root = Path(tunnelcloud.__file__).parent
        found = {
            str(path.relative_to(root))
            for path in root.rglob("*.py")
            if re.search(r"(?<!def )\bsource_group\(", path.read_text(encoding="utf-8"))
        }
        self.assertEqual(found, set(NETWORKS_ALONE))
