"""Certificates by ACME from a real authority, and what runs through the port meanwhile."""

import contextlib
import http.client
import signal
import socket
import ssl
import tempfile
import threading
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.authorities import Pebble
from tests.integration.browsing import SIGN_IN, sign_in_page
from tests.integration.flows import Flows
from tests.integration.processes import PATIENCE, Gateway, free_port
from tests.integration.worlds import EchoWorld

LIFE = 6
"""Seconds that a certificate lives which is to be renewed."""

STREAMS = 50

SIGNALS = 5


class AcmeTests(SynchronousTestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-acme-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)

    def authority(self, port, life):
        """Start one that looks for answers on a port; give its settings."""
        authority = Pebble(self.directory, port, life)
        self.addCleanup(authority.close)
        return f"[web.acme]\n{authority.settings}"

    def shown(self, port):
        """Give the certificate that a browser sees; nothing while there is none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            raw = socket.create_connection(("127.0.0.1", port), PATIENCE)
            with raw, context.wrap_socket(raw, server_hostname="localhost") as client:
                return client.getpeercert(binary_form=True)
        return b""

    def wait_for_another(self, port, before, meanwhile=lambda: None):
        deadline = time.monotonic() + 3 * PATIENCE  # an order that fails is tried again after 60 s
        while (found := self.shown(port)) in (before, b""):
            self.assertLess(time.monotonic(), deadline)
            meanwhile()
            time.sleep(0.2)
        return found

    def test_a_renewal_by_tls_alpn_under_all_that_the_one_port_carries(self):
        """The pod renews by itself; ssh, connectors and a browser also come anew meanwhile."""
        world, flows, page = self.busy_world(LIFE)
        port = world.gateway.ssh_port
        first = self.shown(port)
        before = flows.blocks()
        browsed, over = [], threading.Event()
        browser = threading.Thread(target=self.browse, args=(port, browsed, over), daemon=True)
        browser.start()
        self.addCleanup(browser.join, 2 * PATIENCE)
        self.addCleanup(over.set)
        second = self.wait_for_another(port, first, lambda: self.load(page))
        during = flows.blocks()
        world.add_connector()
        status, output, errors = world.client.run(
            "alice", "-W", f"echo:{world.echo.port}", key=world.key, sent=b"a later one"
        )
        self.assertEqual((status, output), (0, b"a later one"), errors)
        over.set()
        browser.join(2 * PATIENCE)
        self.nothing_was_lost(world, flows, page, before, during)
        self.assertNotEqual(second, first)
        self.assertTrue(browsed)
        for text in browsed:
            self.assertIn(SIGN_IN, text)
        issued = [
            one["data"]["names"] for one in world.ask("audit", event="web_certificate.issued")
        ]
        self.assertGreater(len(issued), 1)
        self.assertEqual(set(issued), {"localhost"})

    def test_sighup_under_all_that_the_one_port_carries(self):
        world, flows, page = self.busy_world(3600)
        port = world.gateway.ssh_port
        first = self.shown(port)
        before = flows.blocks()
        for _ in range(SIGNALS):
            world.gateway.process.process.send_signal(signal.SIGHUP)
            world.gateway.process.wait_for("the settings were read again")
            self.flow_on(flows)
        during = flows.blocks()
        profile = self.directory / "chromium"
        self.assertIn(SIGN_IN, sign_in_page(f"https://localhost:{port}", profile))
        self.nothing_was_lost(world, flows, page, before, during)
        self.assertEqual(self.shown(port), first)

    def busy_world(self, life):
        """Make one with a certificate; give it, its streams, and a browser's open connection.

        :param life: for how many seconds the certificate is good.
        """
        world = EchoWorld(one_port=True, acme=lambda port: self.authority(port, life))
        self.addCleanup(world.close)
        port = world.gateway.ssh_port
        self.wait_for_another(port, b"")
        ssh, local = world.client.forward("alice", f"echo:{world.echo.port}", key=world.key)
        self.addCleanup(ssh.stop)
        flows = Flows(local, STREAMS)
        self.addCleanup(flows.end)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        page = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)
        self.addCleanup(page.close)
        self.load(page)
        self.flow_on(flows)
        return world, flows, page

    def flow_on(self, flows):
        """Wait until another block came back on each stream."""
        before, deadline = flows.blocks(), time.monotonic() + PATIENCE
        while not all(map(int.__lt__, before, flows.blocks())):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def nothing_was_lost(self, world, flows, page, before, during):
        """Hold that all streams flowed on, and that what was connected still is."""
        self.assertTrue(all(map(int.__lt__, before, during)), (before, during))
        self.assertEqual(flows.end(), [])
        self.assertTrue(all(map(int.__le__, during, flows.blocks())))
        opened = page.sock
        self.load(page)
        self.assertIs(page.sock, opened)
        links = [one["actor_id"] for one in world.ask("audit", event="connector.attached")]
        self.assertEqual(sorted(links), sorted(set(links)))
        self.assertTrue(world.gateway.get("/readyz").startswith("ready\n"))

    def load(self, page):
        page.request("GET", "/sign-in")
        with page.getresponse() as answer:
            self.assertEqual(answer.status, 200)
            self.assertIn(SIGN_IN, answer.read().decode())

    def browse(self, port, browsed, over):
        """Open the portal by Chromium again and again."""
        profile = self.directory / "chromium"
        while True:
            browsed.append(sign_in_page(f"https://localhost:{port}", profile))
            if over.is_set():
                return

    def test_http_01_on_a_listener_of_the_web_alone(self):
        port = free_port()
        settings = self.authority(port, 3600) + 'challenge = "http-01"\n'
        pod = Gateway(self.directory, settings, web_listen=f'"ssl:{port}:interface=127.0.0.1",')
        self.addCleanup(pod.process.stop)
        self.assertTrue(self.wait_for_another(port, b""))
