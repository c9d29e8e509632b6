"""ssh through a company's proxy, by the command line alone."""

import contextlib
import io
import os
import socket
import sys
import threading
import time
from urllib.parse import quote

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.cli import ssh_process, ssh_proxy
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.ssh_proxy import proxy_command
from tunnelcloud.net import proxy_connection

SECONDS = 30
PASSWORD = "p@ss:word"


class ProxyCase(SynchronousTestCase):
    def proxy(self, serve):
        """Listen as a proxy that serves one connection; give its port."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(SECONDS)
        self.addCleanup(listener.close)

        def run():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(SECONDS)
                serve(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.addCleanup(thread.join, SECONDS)
        return listener.getsockname()[1]

    def run_through(self, variable, typed=b""):
        """Run it between a proxy and an ssh that types; give its status and what ssh got."""
        (stdin, types), (gets, stdout) = os.pipe(), os.pipe()
        for name, end in (("_STDIN", stdin), ("_STDOUT", stdout)):
            self.patch(ssh_proxy, name, end)
        self.addCleanup(os.close, stdin)
        self.addCleanup(os.close, types)
        received = []

        def read():
            while data := os.read(gets, 65536):
                received.append(data)
            os.close(gets)

        threads = [
            threading.Thread(target=read, daemon=True),
            threading.Thread(target=os.write, args=(types, typed), daemon=True),
        ]
        self.said = io.StringIO()
        self.patch(sys, "stderr", self.said)
        for thread in threads:
            thread.start()
        status = ssh_proxy.main(["pod.example", "2222"], {"ALL_PROXY": variable})
        os.close(stdout)
        for thread in threads:
            thread.join(SECONDS)
        return status, b"".join(received)


class CarryingTests(ProxyCase):
    def test_bytes_go_both_ways_once_the_proxy_has_agreed(self):
        heard = []

        def serve(connection):
            asked = b""
            while not asked.endswith(b"\r\n\r\n"):
                asked += connection.recv(1000)
            heard.append(asked)
            # The pod speaks first, in the same piece as the proxy's answer.
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nSSH-2.0-pod\r\n")
            said = b""
            while len(said) < 100_000:
                said += connection.recv(65536)
            connection.sendall(said[::-1])

        address = f"http://ann:{quote(PASSWORD, safe='')}@127.0.0.1:{self.proxy(serve)}"
        typed = bytes(range(250)) * 400
        found = self.run_through(address, typed)
        self.assertEqual(found, (0, b"SSH-2.0-pod\r\n" + typed[::-1]))
        self.assertIn(b"CONNECT pod.example:2222 HTTP/1.1\r\n", heard[0])
        self.assertIn(b"Proxy-Authorization: Basic ", heard[0])

    def test_a_refusal_is_one_line_without_the_password(self):
        def serve(connection):
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        port = self.proxy(serve)
        address = f"http://ann:{quote(PASSWORD, safe='')}@127.0.0.1:{port}"
        self.assertEqual(self.run_through(address), (1, b""))
        [line] = self.said.getvalue().splitlines()
        self.assertIn("CONNECT to port 2222 is not allowed: use 443", line)
        self.assertNotIn("p@ss", line)

    def test_one_that_hangs_up(self):
        port = self.proxy(lambda connection: connection.recv(1000))
        self.assertEqual(self.run_through(f"socks5h://127.0.0.1:{port}"), (1, b""))
        self.assertIn("hung up when asked for pod.example:2222", self.said.getvalue())

    def test_one_that_hangs(self):
        self.patch(proxy_connection, "ANSWER_SECONDS", 0.2)
        over = threading.Event()
        self.addCleanup(over.set)
        port = self.proxy(lambda connection: over.wait(SECONDS))
        self.assertEqual(self.run_through(f"http://127.0.0.1:{port}"), (1, b""))
        self.assertIn("didn't answer", self.said.getvalue())
        over.set()

    def test_one_that_drips(self):
        """Its bytes, however often they come, don't make its time longer."""
        self.patch(proxy_connection, "ANSWER_SECONDS", 0.2)

        def serve(connection):
            with contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200")
                for _ in range(10_000):
                    connection.sendall(b" ")
                    time.sleep(0.01)

        port = self.proxy(serve)
        self.assertEqual(self.run_through(f"http://127.0.0.1:{port}"), (1, b""))
        self.assertIn("didn't answer", self.said.getvalue())

    def test_one_that_is_not_there(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        self.assertEqual(self.run_through(f"http://127.0.0.1:{port}"), (1, b""))
        self.assertIn("can't be reached", self.said.getvalue())


class OptionTests(SynchronousTestCase):
    SHOWN = (b"hostname pod.example", b"port 2222", b"user alice")

    def options(self, *more, **environment):
        for name in (
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
            "NO_PROXY",
            "no_proxy",
        ):
            self.patch(os, "environ", {**os.environ, name: environment.get(name, "")})
        return ssh_process._through_proxy([*self.SHOWN, *more])

    def test_only_where_the_environment_names_a_proxy(self):
        self.assertEqual(self.options(), [])
        self.assertEqual(self.options(ALL_PROXY="http://proxy", NO_PROXY="pod.example"), [])
        _, option = self.options(ALL_PROXY=f"http://ann:{quote(PASSWORD)}@proxy")
        self.assertTrue(option.startswith("ProxyCommand="))
        self.assertTrue(option.endswith(" %h %p"))
        self.assertNotIn("p%40ss", option)

    def test_the_users_own_way_stays(self):
        for own in (b"proxycommand nc %h %p", b"proxyjump bastion"):
            self.assertEqual(self.options(own, ALL_PROXY="http://proxy"), [])

    def test_one_that_cant_be_used_is_named(self):
        error = self.assertRaises(Failed, self.options, ALL_PROXY="socks4://proxy")
        self.assertIn("ALL_PROXY", str(error))

    def test_a_directory_with_a_percent_sign(self):
        self.patch(sys, "executable", "/opt/100% py/python")
        command = proxy_command({"ALL_PROXY": "http://proxy"}, "pod.example", 22)
        self.assertTrue(command.startswith("'/opt/100%% py/python' -P -m"))
