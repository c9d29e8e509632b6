"""Each kind of listener for the web, with curl, openssl and Chromium."""

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.integration.browsing import SIGN_IN, sign_in_page
from tests.integration.processes import PYTHON, free_port, twistd
from tests.pod.certificates import write_certificate
from tests.requirements import require_executable

# What systemd does for a socket unit: the listening socket is descriptor 3.
_BY_SYSTEMD = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "web", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


class WebListenerTests(SynchronousTestCase):
    def setUp(self):
        directory = Path(self.mktemp()).resolve()
        directory.mkdir()
        files = directory / "web.pem", directory / "web-key.pem"
        write_certificate(*files)
        self.plain, self.secure, self.six, self.systemd = (free_port() for _ in range(4))
        config = directory / "pod.toml"
        config.write_text(
            f"""
            state_directory = "{directory / "state"}"
            drain = "1s"
            [ssh]
            listen = ["tcp:{free_port()}:interface=127.0.0.1"]
            [connectors]
            listen = ["tcp:{free_port()}:interface=127.0.0.1"]
            [web]
            listen = [
                "tcp:{self.plain}:interface=127.0.0.1",
                'tcp:{self.six}:interface=\\:\\:1',
                "systemd:domain=INET:index=0",
                "ssl:{self.secure}:privateKey={files[1]}:certKey={files[0]}:interface=127.0.0.1",
            ]
            public_url = "https://localhost:{self.secure}"
            """
        )
        prefix = (PYTHON, "-c", _BY_SYSTEMD, str(self.systemd))
        self.pod = twistd("pod", "--config", config, prefix=prefix)
        self.addCleanup(self.pod.stop)
        self.pod.wait_for("pod-1 is ready")

    def run_program(self, name, *arguments, given=b""):
        done = subprocess.run(
            [require_executable(name), *arguments],
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=60,
            check=False,
        )
        return done.stdout.decode("utf-8", "replace")

    def test_curl(self):
        for address in (
            f"http://127.0.0.1:{self.plain}",
            f"http://[::1]:{self.six}",
            f"http://127.0.0.1:{self.systemd}",
            f"https://127.0.0.1:{self.secure}",
        ):
            page = self.run_program("curl", "-sSk", f"{address}/sign-in")
            self.assertIn(SIGN_IN, page, address)
        headers = self.run_program(
            "curl",
            "-sSki",
            "--connect-to",
            f"::127.0.0.1:{self.secure}",
            "https://pod.test/sign-in",
        )
        self.assertIn("Strict-Transport-Security: max-age=31536000", headers)
        page = self.run_program("curl", "-sSk", "--no-alpn", f"https://127.0.0.1:{self.secure}/")
        self.assertNotIn("alert", page)

    def test_openssl(self):
        request = b"GET /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        for offered in ("h2,http/1.1", "http/1.1"):
            said = self.run_program(
                "openssl", "s_client", "-connect", f"127.0.0.1:{self.secure}", "-alpn", offered,
                "-ign_eof", given=request,
            )  # fmt: skip
            self.assertIn("ALPN protocol: http/1.1", said)
            self.assertIn(SIGN_IN, said)

    def test_chromium(self):
        profile = Path(self.mktemp()).resolve()
        for address in (f"https://localhost:{self.secure}", f"http://localhost:{self.plain}"):
            self.assertIn(SIGN_IN, sign_in_page(address, profile), address)
