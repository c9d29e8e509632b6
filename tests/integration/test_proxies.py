"""A connector behind a company's proxy joins and carries streams; each obstacle is one line."""

import socket
import tempfile
import threading
from pathlib import Path
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from tests.integration import proxies
from tests.integration.processes import SiteConnector, free_port, twistd
from tests.integration.proxies import PASSWORD, USER
from tests.integration.targets import EchoTarget, exchange
from tests.integration.worlds import World
from tests.pod.certificates import write_certificate
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.join_tokens import JoinToken


def join_token(host="192.0.2.1", port=8443):
    return JoinToken(PublicAddress(host, port), bytes(32), bytes(20)).encode()


class ProxyCase(SynchronousTestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-test-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)
        self.directory.chmod(0o755)

    def proxy(self, start, name="proxy", **options):
        process, port = start(self.directory / name, **options)
        self.addCleanup(process.stop)
        return port


class WayOutTests(ProxyCase):
    def setUp(self):
        super().setUp()
        self.world = World()
        self.addCleanup(self.world.close)
        self.echo = EchoTarget()
        self.addCleanup(self.echo.close)
        self.world.tunnel("echo", "127.0.0.1", self.echo.port)

    def assert_goes_through(self, proxy, shown, environment=None, settings=""):
        """Move the connector behind a proxy; have it join anew, and a stream pass."""
        world = self.world
        world.connector.process.stop()
        world.do("connector", "create", "behind", "--site", "paris")
        token = world.do("connector", "join-token", "behind")["token"]
        if proxy:
            settings = f'proxy = "{proxy}"\n{settings}'
        connector = SiteConnector(
            self.directory, "behind", token, settings=settings, environment=environment
        )
        world.connectors.append(connector)
        way = f"through the proxy {shown}"
        (found,) = [one for one in world.ask("connectors") if one["name"] == "behind"]
        self.assertEqual(found["way"], way)
        process, port = world.client.forward("alice", f"127.0.0.1:{self.echo.port}", key=world.key)
        self.addCleanup(process.stop)
        self.assertEqual(exchange(port, b"through it all"), b"through it all")
        _, doctor, _ = world.client.run("alice", key=world.key, command=["doctor", "echo"])
        self.assertIn(f"site paris answers {way}", doctor.decode())

    def test_squid(self):
        port = self.proxy(proxies.squid)
        self.assert_goes_through(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")

    def test_squid_with_a_password_in_a_file(self):
        port = self.proxy(proxies.squid, password=True)
        secret = self.directory / "secret"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        self.assert_goes_through(
            f"http://{USER}@127.0.0.1:{port}",
            f"http://127.0.0.1:{port}",
            settings=f'proxy_password_file = "{secret}"\n',
        )

    def test_squid_spoken_to_by_tls(self):
        files = self.directory / "proxy.pem", self.directory / "proxy-key.pem"
        write_certificate(*files)
        files[1].chmod(0o644)
        port = self.proxy(proxies.squid, certificate=files)
        self.assert_goes_through(
            f"https://localhost:{port}",
            f"https://localhost:{port}",
            environment={"SSL_CERT_FILE": str(files[0])},
        )

    def test_tinyproxy(self):
        port = self.proxy(proxies.tinyproxy)
        self.assert_goes_through(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}")

    def test_socks(self):
        port = self.proxy(proxies.socks)
        self.assert_goes_through(f"socks5h://127.0.0.1:{port}", f"socks5h://127.0.0.1:{port}")


class ObstacleTests(ProxyCase):
    """What a connector that can't get out says; a pod isn't needed for that."""

    def said(self, proxy, pattern):
        config = self.directory / "connector.toml"
        config.write_text(f'state_directory = "{self.directory / "state"}"\nproxy = "{proxy}"\n')
        process = twistd("connector", "--config", config, "--join", join_token())
        self.addCleanup(process.stop)
        line = process.wait_for(pattern).string
        self.assertNotIn("Traceback", "\n".join(process.said()))
        self.assertNotIn(PASSWORD, line)
        return line

    def test_a_password_is_wanted(self):
        port = self.proxy(proxies.squid, password=True)
        self.said(f"http://127.0.0.1:{port}", r"wants a user name and a password \(407\)")

    def test_a_wrong_password(self):
        port = self.proxy(proxies.squid, password=True)
        wrong = quote("wrong:p@ss", safe="")
        self.said(f"http://{USER}:{wrong}@127.0.0.1:{port}", r"refuses the user name or the passw")

    def test_connect_is_for_443_alone(self):
        port = self.proxy(proxies.squid, ports="443")
        self.said(
            f"http://127.0.0.1:{port}",
            r"refuses 192\.0\.2\.1:8443 \(403\): CONNECT to port 8443 is not allowed: use 443",
        )

    def test_no_proxy_there(self):
        self.said(f"http://127.0.0.1:{free_port()}", r"proxy \S+ can't be reached: .*refused")

    def test_it_hangs_up(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(30)

            def hang_up():
                listener.accept()[0].close()

            threading.Thread(target=hang_up, daemon=True).start()
            self.said(f"http://127.0.0.1:{listener.getsockname()[1]}", "hung up when asked for")
