"""``tunnelcloud setup`` tries the addresses that it writes, and says what that shows."""

import errno
import os
import socket

from tests.cli.test_doctor import Answers, showing, speaking
from tests.cli.test_local_commands import MachineCase
from tests.pod.certificates import write_certificate
from tunnelcloud.cli import setup_address_checks
from tunnelcloud.cli.pod_doctor import Kept
from tunnelcloud.cli.public_addresses import lines_elsewhere
from tunnelcloud.cli.setup_address_checks import doors, reach_findings
from tunnelcloud.net import doctor_findings, own_address_check
from tunnelcloud.net.doctor_findings import Mark, NoAnswer
from tunnelcloud.net.own_address_check import Reply
from tunnelcloud.settings import read_pod_settings

RUNS = Kept({}, {}, 0.0, 0.0)


class ReachCase(MachineCase):
    def setUp(self):
        super().setUp()
        for module in (own_address_check, doctor_findings):
            self.patch(module, "ANSWER_SECONDS", 60.0)
        self.addresses = ["127.0.0.1"]
        self.free, listener = {}, own_address_check.listener
        self.patch(
            setup_address_checks.own_address_check,
            "listener",
            lambda port, interface: self.free.get(port) or listener(port, interface),
        )
        self.patch(setup_address_checks, "resolve", lambda host: self.addresses)
        self.patch(setup_address_checks, "_is_ours", lambda address: address != "192.0.2.99")

    def free_port(self):
        """Have a port that the test listens on in the place of setup: nobody else can take it."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        port = server.getsockname()[1]
        self.free[port] = server
        return port

    def settings(self, ssh=0, connectors=0, more=""):
        """Give settings with ports of SSH and connectors; more is put into the SSH section."""
        file = self.directory / "pod.toml"
        file.write_text(
            f'[ssh]\nlisten = ["tcp:{ssh}"]\npublic_address = "pod.example.com:{ssh or 1}"\n'
            f"{more}\n"
            f'[connectors]\nlisten = ["tcp:{connectors}"]\n'
            f'public_address = "pod.example.com:{connectors or 2}"\n'
        )
        return read_pod_settings(file, self.state)

    def found(self, settings, running=None):
        return {one.what: one for one in reach_findings(settings, running)}

    def answer(self, reply):
        def call(listening, addresses, port):
            return dict.fromkeys(addresses, reply)

        self.patch(setup_address_checks.own_address_check, "call", call)


class AddressTests(ReachCase):
    def address(self, host="pod.example.com"):
        settings = self.settings()
        ssh = settings.ssh.model_copy(
            update={"public_address": settings.ssh.public_address.__class__(host, 443)}
        )
        self.patch(setup_address_checks, "doors", lambda settings: ())
        return self.found(settings.model_copy(update={"ssh": ssh}))["address"]

    def test_what_can_be_told_from_here(self):
        for addresses, mark, text in (
            (["127.0.0.2"], Mark.WARNING, "leads to each machine itself"),
            (["192.0.2.99"], Mark.WARNING, "no address of this machine"),
        ):
            self.addresses = addresses
            found = self.address()
            self.assertEqual(found.mark, mark)
            self.assertIn(text, found.text)
        self.addresses = ["10.1.2.3"]
        found = self.address("10.1.2.3")
        self.assertEqual(found.mark, Mark.GOOD)
        self.assertIn("10.1.2.3 is this machine, which only your own networks reach", found.text)

    def test_a_name_without_an_address(self):
        def resolve(host):
            raise NoAnswer("this machine finds no address of it")

        self.patch(setup_address_checks, "resolve", resolve)
        self.assertIn("give it an address in DNS", self.address().text)
        settings = self.settings(self.free_port(), self.free_port())
        self.patch(setup_address_checks, "doors", doors)
        marks = {one.mark for one in self.found(settings).values()}
        self.assertEqual(marks, {Mark.WARNING, Mark.GOOD})


class DoorTests(ReachCase):
    def doors(self, text):
        file = self.directory / "pod.toml"
        file.write_text(text)
        return [
            (one.section, str(one.public), one.port, one.interface, one.is_shared)
            for one in doors(read_pod_settings(file, self.state))
        ]

    def test_which_ports_others_come_to(self):
        ssh = '[ssh]\npublic_address = "p:22"\n'
        self.assertEqual(self.doors(ssh), [("ssh", "p:22", 2222, "", False)])
        self.assertEqual(
            self.doors(f"{ssh}listen = ['tcp:port=7:interface=\\:\\:1']\nreuse_port = true"),
            [("ssh", "p:22", 7, "::1", True)],
        )
        links = '[connectors]\npublic_address = "p:22"\n'
        self.assertEqual(
            self.doors(f'{ssh}{links}[front]\nlisten = ["systemd:domain=INET6:index=0"]'),
            [("front", "p:22", 22, "", False)],
        )
        self.assertEqual(self.doors(f'{ssh}listen = ["unix:/run/x"]'), [])

    def test_a_free_port_that_this_machine_reaches(self):
        found = self.found(self.settings(*(ports := (self.free_port(), self.free_port()))))
        for section, port in zip(("ssh", "connectors"), ports, strict=True):
            one = found[f"{section} port {port}"]
            self.assertEqual(one.mark, Mark.GOOD, one.text)
            self.assertIn(f"reaches itself at pod.example.com:{port} (127.0.0.1)", one.text)

    def test_an_address_that_leads_elsewhere(self):
        for reply, text in (
            (Reply(fault="Connection refused"), "Connection refused"),
            (Reply(said=b"SSH-2.0-Other\x1b"), r"another server answers (SSH-2.0-Other\x1b)"),
            (Reply(), "or one that says nothing"),
        ):
            self.answer(reply)
            port = self.free_port()
            one = self.found(self.settings(port))[f"ssh port {port}"]
            self.assertEqual(one.mark, Mark.WARNING)
            self.assertIn(text, one.text)
            self.assertIn(f"hand its port {port} on to this machine's {port}", one.text)

    def test_one_address_of_two(self):
        self.addresses = ["127.0.0.1", "192.0.2.99"]
        replies = {"127.0.0.1": Reply(is_back=True), "192.0.2.99": Reply(fault="timed out")}
        self.patch(setup_address_checks.own_address_check, "call", lambda *_: replies)
        port = self.free_port()
        one = self.found(self.settings(port))[f"ssh port {port}"]
        self.assertEqual(one.mark, Mark.WARNING)
        self.assertIn("(127.0.0.1), but not at each address of that name: 192.0.2.99: timed out",
                      one.text)  # fmt: skip

    def test_a_port_that_another_program_has(self):
        other = Answers(self, speaking(b"SSH-2.0-Other\r\n"))
        one = self.found(self.settings(other.port))[f"ssh port {other.port}"]
        self.assertEqual(one.mark, Mark.BAD)
        self.assertIn(f"ss -ltnp 'sport = :{other.port}'", one.text)

    def test_a_port_that_this_user_may_not_have(self):
        for code, mark, text in (
            (errno.EACCES, Mark.WARNING, "run setup as root"),
            (errno.EADDRNOTAVAIL, Mark.BAD, os.strerror(errno.EADDRNOTAVAIL)),
        ):

            def refuse(*_, code=code):
                raise OSError(code, os.strerror(code))

            self.patch(setup_address_checks.own_address_check, "listener", refuse)
            one = self.found(self.settings(80))["ssh port 80"]
            self.assertEqual(one.mark, mark)
            self.assertIn(text, one.text)

    def test_a_port_of_this_machine_alone(self):
        port = self.free_port()
        file = self.directory / "pod.toml"
        file.write_text(
            f'[ssh]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\npublic_address = "p:22"\n'
        )
        one = self.found(read_pod_settings(file, self.state))[f"ssh port {port}"]
        self.assertIn("what is on this machine at p:22 leads to it", one.text)

    def test_the_pod_that_runs_says_who_it_is(self):
        self.patch(socket, "getaddrinfo", _loopback(socket.getaddrinfo))
        ssh = Answers(self, speaking(b"SSH-2.0-TunnelCloud\r\n"))
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        write_certificate(certificate, key)
        links = Answers(self, showing(certificate, key))
        settings = self.settings(ssh.port, links.port)
        found = self.found(settings, RUNS)
        one = found[f"ssh port {ssh.port}"]
        self.assertEqual(one.mark, Mark.GOOD, one.text)
        self.assertIn("SSH-2.0-TunnelCloud", one.text)
        self.assertEqual(found[f"connectors port {links.port}"].mark, Mark.GOOD)
        router = Answers(self, speaking(b"SSH-2.0-OpenSSH_9.2\r\n"))
        one = self.found(self.settings(router.port), RUNS)[f"ssh port {router.port}"]
        self.assertEqual(one.mark, Mark.WARNING)
        self.assertIn("another SSH server answers (SSH-2.0-OpenSSH_9.2)", one.text)
        # Another pod of this machine may have the port, too.
        shared = self.settings(ssh.port, more="reuse_port = true")
        self.assertEqual(self.found(shared)[f"ssh port {ssh.port}"].mark, Mark.GOOD)


def _loopback(lookup):
    def look(host, *rest, **more):
        return lookup("127.0.0.1" if host == "pod.example.com" else host, *rest, **more)

    return look


class ElsewhereTests(ReachCase):
    def lines(self, text):
        file = self.directory / "pod.toml"
        file.write_text(text)
        return lines_elsewhere(read_pod_settings(file, self.state))

    def test_what_shows_that_others_reach_it(self):
        ssh, links = '[ssh]\npublic_address = "p:{}"\n', '[connectors]\npublic_address = "p:{}"\n'
        web = '[web]\npublic_url = "https://p"'
        for text, lines in (
            (ssh.format(22) + links.format(84), ["ssh-keyscan -p 22 p", "nc -vz p 84"]),
            (
                ssh.format(443) + links.format(443) + web,
                ["ssh-keyscan -p 443 p", "curl https://p/healthz"],
            ),
        ):
            self.assertEqual(self.lines(text), lines)

    def test_nobody_else_reaches_loopback(self):
        self.assertEqual(
            self.lines(
                '[ssh]\npublic_address = "127.0.0.1:2222"\n[web]\npublic_url = "http://[::1]:8080"'
            ),
            [],
        )
