"""What a pod at rest has loaded: what nobody asked it for isn't there, listed and compared."""

import json
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.test_connector_modules import LIST_AT_END
from tests.integration.worlds import World

PACKAGES = {
    "OpenSSL", "_cffi_backend", "_distutils_hack", "_openssl", "annotated_types", "attr", "attrs",
    "automat", "bcrypt", "constantly", "cryptography", "greenlet", "hyperlink", "idna",
    "incremental", "pydantic", "pydantic_core", "service_identity", "sqlalchemy", "twisted",
    "typing_extensions", "typing_inspection", "zope", "zope.interface",
}  # fmt: skip
"""Packages that such a pod may have loaded: none for pages, metrics, OpenID Connect or ACME."""

PARTS = {"attached_connectors", "collection", "connectors", "context", "keys", "sites", "users"}
"""The API's parts that were asked for, and what they share."""

SHARED_PARTS_OF_THE_PORTAL = {"password_attempts", "invitations", "shared_attempts"}
"""Modules of the portal that a pod needs without pages: the API slows guesses down, too."""

UNUSED = {
    "twisted.mail",
    "twisted.web.client",
    "tunnelcloud.net.http_fetch",
    "tunnelcloud.pod.acme.keeper",
    "tunnelcloud.pod.metrics",
    "tunnelcloud.pod.notices",
    "tunnelcloud.web.models.document",
    "tunnelcloud.web.openapi",
}
"""Modules that only other settings, or other requests, have loaded."""


class PodAtRestTests(SynchronousTestCase):
    def test_has_only_what_it_was_asked_for(self):
        listing = Path(self.mktemp()).absolute()
        world = World(preparation=LIST_AT_END.format(path=str(listing)))
        self.addCleanup(world.close)
        world.gateway.process.stop()
        modules = json.loads(listing.read_text())
        packages = {
            name.partition(".")[0]
            for name, file in modules.items()
            if "site-packages" in Path(file).parts
        }
        self.assertEqual(packages - PACKAGES, set())
        for room, expected in (("resources", PARTS), ("portal", SHARED_PARTS_OF_THE_PORTAL)):
            beginning = f"tunnelcloud.web.{room}."
            found = {name[len(beginning) :] for name in modules if name.startswith(beginning)}
            self.assertEqual(found, expected)
        self.assertEqual(UNUSED & set(modules), set())
