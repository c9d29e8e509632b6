"""A pod and a site, real and running, as a test or a campaign needs them."""

import atexit
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import PATIENCE, Client, Gateway, Keys, SiteConnector
from tests.integration.targets import EchoTarget


class World:
    """A pod, a site with a connector, and alice with a key.

    :param prefix: the words of a command that runs the connector somewhere else.
    :param gateway: more of the pod's settings, as ``Gateway`` takes them.
    """

    def __init__(self, settings="", prefix=(), **gateway):
        self._scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-test-")
        self.directory = Path(self._scratch.name)
        self.gateway = Gateway(self.directory, settings, **gateway)
        self.do = self.gateway.do
        self.do("site", "create", "paris")
        self.connectors = []
        self.connector = self.add_connector(prefix)
        self.client = Client(self.directory, self.gateway)
        self.key = Keys(self.directory, "alice-key")
        self.do("user", "create", "alice", "--email", "alice@example.com")
        self.do("key", "add", "alice", "--public-key", self.key.public)

    def add_connector(self, prefix=()):
        """Have one more connector join the site."""
        name = f"paris-{len(self.connectors) + 1}"
        created = self.do("connector", "create", name, "--site", "paris")
        connector = SiteConnector(self.directory, name, created["join"]["token"], prefix)
        self.connectors.append(connector)
        return connector

    def tunnel(self, name, address, *ports, assign=True, external=None):
        words = ["tunnel", "create", name, "--site", "paris", "--address", address]
        for port in ports:
            words += ["--port", port]
        if external:
            words += ["--external-address", external]
        self.do(*words)
        if assign:
            self.do("assign", name, "--user", "alice", "--method", "token", "--method", "key")

    def token(self, *words):
        return self.do("token", "create", "alice", *words)["token"]

    def ask(self, path, **query):
        """Read all pages of a list from the API, as the administrator."""
        found, cursor = [], None
        while True:
            given = {**query, "limit": 200, **({"cursor": cursor} if cursor else {})}
            page = self.gateway.api("GET", f"/{path}?{urllib.parse.urlencode(given)}")
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return found

    def post(self, path, body=None, token=None):
        """Have the API do something.

        :param body: what is sent as JSON, if anything is.
        :param token: an API token; the first administrator's by default.
        """
        return self.gateway.api("POST", f"/{path}", body, token=token)

    def delete(self, path):
        """Have the API end something, as the administrator."""
        self.gateway.api("DELETE", f"/{path}")

    def closed_channels(self, count):
        """Give the records of all channels that are over, once there are so many.

        An end is written a moment after it.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            sessions = [session["id"] for session in self.ask("sessions")]
            records = [one for each in sessions for one in self.ask(f"sessions/{each}/channels")]
            closed = [record for record in records if record["closed_at"]]
            if len(closed) >= count or time.monotonic() > deadline:
                return closed
            time.sleep(0.1)

    def close(self):
        self.gateway.process.stop()  # first: connectors let open streams end
        for connector in self.connectors:
            connector.process.stop()
        self._scratch.cleanup()


class EchoWorld(World):
    """Has an echo server as tunnel `echo`, too."""

    def __init__(self, settings="", **gateway):
        super().__init__(settings, **gateway)
        self.echo = EchoTarget()
        self.tunnel("echo", "127.0.0.1", self.echo.port)

    def close(self):
        self.echo.close()
        super().close()


_worlds = {}


class WorldCase(SynchronousTestCase):
    """Shares one world among a class's tests; it ends with the test process."""

    settings = ""
    gateway_options = {}

    def setUp(self):
        kind = type(self)
        if kind not in _worlds:
            _worlds[kind] = EchoWorld(kind.settings, **kind.gateway_options)
            atexit.register(_worlds[kind].close)
            kind.world = _worlds[kind]
            kind.furnish(kind.world)
        self.world = _worlds[kind]

    @classmethod
    def furnish(cls, world):
        """Make what all tests of the class need."""

    def through(self, login, target, **credential):
        process, port = self.world.client.forward(login, target, **credential)
        self.addCleanup(process.stop)
        return port

    def refusal(self, target, login="alice", **credential):
        """Ask for a destination with -W; give the line in which ssh says why not."""
        credential = credential or {"key": self.world.key}
        status, _, errors = self.world.client.run(login, "-W", target, **credential)
        self.assertNotEqual(status, 0)
        lines = [line for line in errors.decode().splitlines() if "open failed" in line]
        self.assertEqual(len(lines), 1, errors)
        return lines[0].partition("open failed: ")[2].strip()
