"""A connector behind a company's proxy joins and carries streams; each obstacle is one line."""

import atexit
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import ENVIRONMENT, PATIENCE, SiteConnector, free_port, twistd
from tests.integration.proxies import (
    INSPECTOR,
    KNOWN_TO_SQUID,
    PASSWORD,
    USER,
    Squid,
    socks,
    tinyproxy,
)
from tests.integration.targets import exchange
from tests.integration.worlds import EchoWorld
from tests.requirements import require_executable
from tunnelcloud.cli.ssh_proxy import proxy_command
from tunnelcloud.domain.join_tokens import JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress


def join_token(host="192.0.2.1", port=8443):
    return JoinToken(PublicAddress(host, port), bytes(32), bytes(20)).encode()


_shared = {}


def shared(kind):
    """Give the one squid, or the one world, of this process."""
    if kind not in _shared:
        _shared[kind] = kind()
        atexit.register(_shared[kind].close)
    return _shared[kind]


class ProxyCase(SynchronousTestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix="tunnelcloud-test-")
        self.addCleanup(scratch.cleanup)
        self.directory = Path(scratch.name)
        self.directory.chmod(0o755)

    def door(self, name):
        return f"127.0.0.1:{shared(Squid).ports[name]}"

    def proxy(self, start):
        process, port = start(self.directory / "proxy")
        self.addCleanup(process.stop)
        return f"127.0.0.1:{port}"


class UnconnectedWorld(EchoWorld):
    """A world whose site has no connector but those that a test adds."""

    def __init__(self):
        super().__init__()
        self.connector.process.stop()


class WayOutTests(ProxyCase):
    def way_of(self, name):
        """Give the way of a connector once the pod knows it: its link is up a moment before."""
        deadline = time.monotonic() + PATIENCE
        while True:
            connectors = shared(UnconnectedWorld).ask("connectors")
            (found,) = [one for one in connectors if one["name"] == name]
            if found["way"] is not None or time.monotonic() > deadline:
                return found["way"]
            time.sleep(0.1)

    def assert_goes_through(self, proxy, shown, environment=None, settings=""):
        """Have a connector behind a proxy join, and a stream pass."""
        world = shared(UnconnectedWorld)
        name = self.id().rpartition(".")[2].replace("_", "-")
        token = world.do("connector", "create", name, "--site", "paris")["join"]["token"]
        if proxy:
            settings = f'proxy = "{proxy}"\n{settings}'
        connector = SiteConnector(
            self.directory, name, token, settings=settings, environment=environment
        )
        self.addCleanup(connector.process.stop)
        way = f"through the proxy {shown}"
        self.assertEqual(self.way_of(name), way)
        process, port = world.client.forward("alice", f"127.0.0.1:{world.echo.port}", key=world.key)
        self.addCleanup(process.stop)
        self.assertEqual(exchange(port, b"through it all"), b"through it all")
        _, doctor, _ = world.client.run("alice", key=world.key, command=["doctor", "echo"])
        self.assertIn(f"site paris answers {way}", doctor.decode())

    def test_squid(self):
        door = self.door("open")
        self.assert_goes_through(f"http://{door}", f"http://{door}")

    def test_squid_with_a_password_in_a_file(self):
        door = self.door("password")
        secret = self.directory / "secret"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o600)
        self.assert_goes_through(
            f"http://{USER}@{door}",
            f"http://{door}",
            settings=f'proxy_password_file = "{secret}"\n',
        )

    def test_squid_spoken_to_by_tls(self):
        squid = shared(Squid)
        door = f"https://localhost:{squid.ports['tls']}"
        environment = {"SSL_CERT_FILE": str(squid.certificate)}
        self.assert_goes_through(door, door, environment=environment)

    def test_tinyproxy(self):
        proxy = self.proxy(tinyproxy)
        self.assert_goes_through(f"http://{proxy}", f"http://{proxy}")

    def test_socks(self):
        proxy = self.proxy(socks)
        self.assert_goes_through(f"socks5h://{proxy}", f"socks5h://{proxy}")


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
        door = self.door("password")
        self.said(f"http://{door}", r"wants a user name and a password \(407\)")

    def test_a_wrong_password(self):
        wrong = quote("wrong:p@ss", safe="")
        door = self.door("password")
        self.said(f"http://{USER}:{wrong}@{door}", r"refuses the user name or the passw")

    def test_connect_is_for_443_alone(self):
        self.said(
            f"http://{self.door('narrow')}",
            r"refuses 192\.0\.2\.1:8443 \(403\): CONNECT to port 8443 is not allowed: use 443",
        )

    def test_it_opens_tls_to_look_inside(self):
        """The certificate is one that squid made; whose it is, is what the site's people need."""
        line = self.said(f"http://{self.door('inspects')}", f"issued by {INSPECTOR}")
        self.assertIn("and not by this cluster", line)
        self.assertIn("ask for an exemption", line)

    def test_no_proxy_there(self):
        self.said(f"http://127.0.0.1:{free_port()}", r"proxy \S+ can't be reached: .*refused")

    def test_it_hangs_up(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(30)

            def hang_up():
                listener.accept()[0].close()

            threading.Thread(target=hang_up, daemon=True).start()
            self.said(f"http://127.0.0.1:{listener.getsockname()[1]}", "hung up when asked for")


class UserTests(ProxyCase):
    """Users behind a company's proxy reach the pod by each way that is offered to them."""

    def setUp(self):
        super().setUp()
        self.world = shared(UnconnectedWorld)

    def ssh(self, command, environment=()):
        """List the tunnels through a ProxyCommand; give the status and both outputs."""
        client = self.world.client
        way = ("-o", f"ProxyCommand={command}")
        words = client.arguments("alice", *way, key=self.world.key, host=KNOWN_TO_SQUID)
        return subprocess.run(
            [*map(str, words), "ls"],
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, **client.environment(), **dict(environment)},
            timeout=PATIENCE,
            check=False,
        )

    def test_the_command_line(self):
        """What ``connect`` tells ssh, with the proxy that the environment names."""
        port = self.world.gateway.ssh_port
        for password, status in ((PASSWORD, 0), ("wrong", 255)):
            proxy = f"http://{USER}:{quote(password, safe='')}@{self.door('password')}"
            environment = {"HTTPS_PROXY": proxy, "NO_PROXY": ""}
            done = self.ssh(proxy_command(environment, KNOWN_TO_SQUID, port), environment.items())
            self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn("refuses the user name or the password", done.stderr)
        self.assertNotIn("wrong", done.stderr)

    def test_openssh_alone(self):
        """The line that the portal gives."""
        nc = require_executable("nc.openbsd")
        done = self.ssh(f"{nc} -X connect -x {self.door('open')} %h %p")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("echo", done.stdout)
        refused = self.ssh(f"{nc} -X connect -x {self.door('narrow')} %h %p")
        self.assertEqual(refused.returncode, 255)

    def test_puttys_own_setting(self):
        """Connection → Proxy of a saved session: type HTTP, the proxy's name and port."""
        plink = require_executable("plink")
        host, _, port = self.door("open").partition(":")
        sessions = self.directory / ".putty" / "sessions"
        sessions.mkdir(parents=True)
        (sessions / "pod").write_text(
            f"HostName={KNOWN_TO_SQUID}\nPortNumber={self.world.gateway.ssh_port}\nProtocol=ssh\n"
            f"ProxyMethod=3\nProxyHost={host}\nProxyPort={port}\n"
        )
        key = self.world.client.known_hosts.read_text().split()[2]
        token = self.world.token()
        words = [plink, "-batch", "-hostkey", key, "-load", "pod", "-l", "alice", "-pw", token]
        done = subprocess.run(
            [*words, "ls"],
            capture_output=True,
            text=True,
            env={**ENVIRONMENT, "HOME": str(self.directory)},
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("echo", done.stdout)
