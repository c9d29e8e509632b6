"""A connector is a program of its own: what a running one has imported, listed and compared."""

import configparser
import json
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import twistd
from tests.integration.worlds import World

ROOMS = {
    "channels",
    "settings_files",
    "connector",
    "daemon",
    "domain",
    "garbage_collection",
    "interpreter_lock",
    "link",
    "net",
    "pki",
    "private_files",
    "tap",
}
"""What a connector may have loaded of the product."""

OTHERS = {
    "OpenSSL", "_cffi_backend", "_distutils_hack", "_openssl", "attr", "attrs", "automat", "bcrypt",
    "constantly", "cryptography", "idna", "incremental", "service_identity", "twisted",
    "typing_extensions", "zope", "zope.interface",
}  # fmt: skip
"""Packages that a connector may have loaded beside Python's own."""

LIST_AT_END = """
import json, sys
from pathlib import Path
from twisted.internet import reactor
reactor.addSystemEventTrigger("after", "shutdown", lambda: Path({path!r}).write_text(json.dumps({{
    name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())
}})))
"""


class RunningConnectorTests(SynchronousTestCase):
    def test_imports_nothing_of_a_pod(self):
        world = World()
        self.addCleanup(world.close)
        path = world.directory / "modules.json"
        listing = LIST_AT_END.format(path=str(path))
        world.connector.process.stop()
        world.connector.process = twistd(*world.connector.arguments, preparation=listing)
        world.connector.process.wait_for(r"link to .* is up")
        world.connector.process.stop()
        modules = json.loads(path.read_text())
        self.assertIn("tunnelcloud.connector.links", modules)
        rooms = {name.split(".")[1] for name in modules if name.startswith("tunnelcloud.")}
        self.assertEqual(rooms - ROOMS, set())
        packages = {
            name.partition(".")[0]
            for name, file in modules.items()
            if "site-packages" in Path(file).parts
        }
        self.assertEqual(packages - OTHERS, set())


class RequirementTests(SynchronousTestCase):
    """A connector can be installed without what only pods and commands need."""

    def test_the_list_is_part_of_the_whole_products(self):
        root = Path(__file__).resolve().parents[2]
        path = root / "etc" / "connector-requirements.txt"
        wanted = {line for line in path.read_text().splitlines() if line and line[0] != "#"}
        settings = configparser.ConfigParser()
        settings.read(root / "setup.cfg")
        everything = settings["options"]["install_requires"].replace("[conch,tls]", "[tls]")
        self.assertEqual(wanted - set(everything.split("\n")), set())
        names = {re.split(r"[\[ ]", line)[0] for line in wanted}
        self.assertEqual(
            names,
            {
                "attrs",
                "cryptography",
                "idna",
                "pyOpenSSL",
                "service-identity",
                "Twisted",
                "zope.interface",
            },
        )
