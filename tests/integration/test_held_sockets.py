"""Sockets that systemd holds for a pod, handed over by its own ``systemd-socket-activate``."""

import socket
import ssl

from tests.integration.processes import PATIENCE, free_port, twistd
from tests.integration.test_starts import ENDED_IN_ORDER, StartCase
from tests.pod.certificates import write_certificate
from tests.requirements import require_executable


class HeldSocketTests(StartCase):
    def activated(self, settings, *addresses):
        """Have a pod start when somebody comes to one of these addresses."""
        config = self.directory / "pod.toml"
        config.write_text(f'state_directory = "{self.state}"\n{settings}')
        held = [word for address in addresses for word in ("--listen", address)]
        # A unit's sockets have its name each.
        names = ":".join("tunnelcloud-pod.socket" for _ in addresses)
        activate = require_executable("systemd-socket-activate")
        prefix = (activate, "--setenv=PYTHONPATH", f"--fdname={names}", *held)
        process = twistd("pod", "--config", config, prefix=prefix)
        process.wait_for("Listening on")
        return process

    def greeting(self, host, port):
        """Give what an SSH client is told that waits; before the pod starts, it is in a queue."""
        with socket.create_connection((host, port), PATIENCE) as client:
            return client.recv(100)

    def test_the_one_port_of_the_socket_unit(self):
        certificate, key = self.directory / "web.pem", self.directory / "web-key.pem"
        write_certificate(certificate, key)
        key.chmod(0o600)
        port = free_port()
        process = self.activated(
            '[front]\nlisten = ["systemd:domain=INET6:index=0"]\n'
            "[ssh]\nlisten = []\n[connectors]\nlisten = []\n"
            f'[web]\nlisten = []\ncertificate = "{certificate}"\nprivate_key = "{key}"\n',
            f"[::1]:{port}",
        )
        self.assertTrue(self.greeting("::1", port).startswith(b"SSH-2.0-TunnelCloud"))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        raw = socket.create_connection(("::1", port), PATIENCE)
        with context.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"GET /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b"200 OK", client.recv(200))
        self.assertIn(process.stop(), ENDED_IN_ORDER)

    def test_a_socket_for_each_part(self):
        ports = [free_port() for _ in range(3)]
        parts = ("ssh", "connectors", "web")
        process = self.activated(
            "".join(
                f'[{part}]\nlisten = ["systemd:domain=INET:index={index}"]\n'
                for index, part in enumerate(parts)
            ),
            *(f"127.0.0.1:{port}" for port in ports),
        )
        self.assertTrue(self.greeting("127.0.0.1", ports[0]).startswith(b"SSH-2.0-TunnelCloud"))
        with socket.create_connection(("127.0.0.1", ports[2]), PATIENCE) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b"200 OK", client.recv(200))
        self.assertIn(process.stop(), ENDED_IN_ORDER)
