"""What a tunnel's page shows opens the tunnel: the copied text itself, run by a shell."""

import atexit
import re
import shlex
import subprocess
from urllib.parse import urlencode

from twisted.trial.unittest import SynchronousTestCase

from tests.browser.portal import DATA, Portal, Visitor, moves_data
from tests.domain.connecting.oracles import cmd_words, powershell_words, systemd_words
from tests.integration.processes import free_port
from tests.integration.targets import exchange
from tests.requirements import require_executable

_shared = []


def shared():
    """Give the portal of this process, and alice's browser; both end with it."""
    if not _shared:
        portal = Portal()
        atexit.register(portal.close)
        visitor = Visitor(portal)
        atexit.register(visitor.close)
        _shared.extend([portal, visitor])
    return _shared


class PortalCase(SynchronousTestCase):
    def setUp(self):
        self.portal, self.visitor = shared()
        self.page = self.visitor.page

    def tearDown(self):
        faults, self.visitor.chromium.faults = self.visitor.chromium.faults, []
        self.assertEqual(faults, [])

    def ports(self, name):
        return [echo.port for echo in self.portal.echoes[name]]

    def with_key(self):
        """Give the query for alice's key, whose file has a name that needs quoting."""
        return urlencode({"method": "key", "key_file": self.portal.key.path})

    def works(self, process, *places):
        """Data goes through every local port; then the process is ended."""
        try:
            for address, port in places:
                moves_data(address, port, process)
        finally:
            process.stop()


class CommandTests(PortalCase):
    def test_copied_with_a_token_from_the_page(self):
        for name in ("db", "by-name", "six", "several"):
            self.visitor.open(name)
            if name == "by-name":
                # The target has this machine's own port already.
                self.edit(f"port_{self.ports(name)[0]}", free_port())
            local = [
                int(self.page.locator(f"#port_{port}").input_value()) for port in self.ports(name)
            ]
            token = self.visitor.token()
            command = self.visitor.copied("command")
            self.assertIn("PubkeyAuthentication=no", command)
            self.works(self.portal.run(command, token), *(("127.0.0.1", port) for port in local))

    def edit(self, field, value, shown=""):
        self.visitor.unfold("Options")
        self.page.locator(f"#{field}").fill(str(value))
        self.page.locator("#command", has_text=shown or str(value)).wait_for()

    def test_edited_while_typing_and_with_every_login(self):
        (target,) = self.ports("db")
        self.visitor.open("db")
        self.visitor.choose("key")
        self.edit("key_file", self.portal.key.path, "s own key")
        self.edit("local", "::1")
        for login in self.page.locator("#login option").all_inner_texts():
            port = free_port()
            self.page.locator("#login").select_option(login)
            self.edit(f"port_{target}", port)
            command = self.visitor.copied("command")
            self.assertIn(f" {login}@127.0.0.1", command)
            self.assertNotIn("PubkeyAuthentication", command)
            self.works(self.portal.run(command), ("::1", port))
        self.assertIn(f"port_{target}={port}", self.page.url)
        self.page.reload()
        self.assertEqual(self.visitor.copied("command"), command)

    def test_what_is_wrong_is_said_while_typing(self):
        (target,) = self.ports("db")
        self.visitor.open("db")
        self.visitor.unfold("Options")
        before = self.page.locator("#command").inner_text()
        self.page.locator(f"#port_{target}").fill("70000")
        self.page.locator("#result [role=alert]").wait_for()
        self.assertEqual(self.page.locator("#command").inner_text(), before)
        self.page.locator(f"#port_{target}").fill("80")
        self.page.get_by_text("Ports below 1024").wait_for()

    def test_every_shell_gets_the_same_words(self):
        self.visitor.open("db", f"?tool=openssh&local=::1&{self.with_key()}")
        titles = self.page.locator(".tool h3").all_inner_texts()[:3]
        self.assertEqual(titles, ["Linux and macOS", "Windows PowerShell", "Windows cmd"])
        lines = [self.page.locator(f"#text-client-{place}").inner_text() for place in (1, 2, 3)]
        self.assertEqual(len(set(lines)), 3)
        words = shlex.split(lines[0])
        self.assertEqual(powershell_words(lines[1]), words)
        self.assertEqual(cmd_words(lines[2]), words)
        (target,) = self.ports("db")
        self.works(self.portal.run(lines[0]), ("::1", target))


class FileTests(PortalCase):
    """The texts of the tabs."""

    def texts(self, name, query):
        self.visitor.open(name, query)
        for one in self.page.locator("[aria-labelledby=copy] .tool details").all():
            one.locator("summary").click()
        return self.page.locator("[aria-labelledby=copy] .tool pre").all_inner_texts()

    def test_ssh_config_for_a_token_is_shared(self):
        (target,) = self.ports("db")
        port = free_port()
        block, _ = self.texts("db", f"?tool=ssh-config&port_{target}={port}")
        # ssh asks the system where the home is, and not the environment.
        config = self.portal.home / ".ssh" / "config"
        config.write_text(block.replace("~", str(self.portal.home)))
        self.addCleanup(config.write_text, "")
        token = self.visitor.token()
        started = self.portal.run("ssh -N db.tunnel", token)
        self.addCleanup(self.portal.finish, "ssh -O exit db.tunnel")
        moves_data("127.0.0.1", port, None)
        started.stop()
        again = self.portal.finish("ssh -N -O check db.tunnel")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertEqual(exchange(port, DATA), DATA)

    def test_ssh_config_for_a_key(self):
        (target,) = self.ports("db")
        port = free_port()
        query = f"?tool=ssh-config&port_{target}={port}&{self.with_key()}"
        config = self.portal.home / ".ssh" / "config"
        config.write_text(self.texts("db", query)[0])
        self.addCleanup(config.write_text, "")
        self.works(self.portal.run("ssh -N db.tunnel"), ("127.0.0.1", port))

    def test_plink_with_a_key(self):
        require_executable("plink")
        ppk = f"{self.portal.key.path}.ppk"
        subprocess.run(["puttygen", self.portal.key.path, "-o", ppk], check=True)
        (target,) = self.ports("db")
        port = free_port()
        query = f"?tool=putty&port_{target}={port}&{self.with_key()}&local=127.0.0.4"
        line = self.texts("db", query)[0]
        self.assertIn("-hostkey SHA256:", line)
        self.works(self.portal.run(line), ("127.0.0.4", port))

    def test_plink_with_a_token(self):
        require_executable("plink")
        (target,) = self.ports("db")
        port = free_port()
        self.visitor.open("db", f"?tool=putty&port_{target}={port}")
        token = self.visitor.token()
        line = self.page.locator("[aria-labelledby=copy] .tool pre").last.inner_text()
        self.assertIn("-noagent", line)
        process = self.portal.run(line)
        process.process.stdin.write(f"{token}\n".encode())
        process.process.stdin.flush()
        self.works(process, ("127.0.0.1", port))

    def test_autossh(self):
        require_executable("autossh")
        (target,) = self.ports("db")
        port = free_port()
        query = f"?tool=unattended&port_{target}={port}&{self.with_key()}"
        unit, line, known_hosts = self.texts("db", query)
        self.assertEqual(known_hosts.split()[0], f"[127.0.0.1]:{self.portal.gateway.ssh_port}")
        self.works(self.portal.run(line), ("127.0.0.1", port))
        self.check_unit(unit, port)

    def check_unit(self, unit, port):
        """Systemd finds no fault with it, and its command opens the tunnel."""
        file = self.portal.directory / "tunnel-db.service"
        file.write_text(unit)
        verified = subprocess.run(
            [require_executable("systemd-analyze"), "verify", "--man=no", file],
            capture_output=True,
            text=True,
            env={**self.portal.environment(), "SYSTEMD_LOG_LEVEL": "warning"},
        )
        self.assertNotIn("tunnel-db.service", verified.stderr + verified.stdout)
        self.assertEqual(verified.returncode, 0, verified.stderr)
        (line,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
        program, *words = systemd_words(line)
        self.assertEqual(program, require_executable("ssh"))
        process = self.portal.run(shlex.join(["ssh", *words]))
        self.works(process, ("127.0.0.1", port))
