"""``tunnelcloud doctor`` says of each thing that a pod or a connector needs whether it works."""

import asyncio
import io
import json
import socket
import sqlite3
import ssl
import sys
import threading
from datetime import UTC, datetime, timedelta

import asyncssh
import click

from tests.cli.fake import TOKEN, FakeApi
from tests.cli.test_local_commands import MachineCase
from tests.pod.certificates import write_certificate
from tunnelcloud.cli import doctor, pod_doctor
from tunnelcloud.cli.parameters import Connection
from tunnelcloud.connector.doctor import examine_connector, main
from tunnelcloud.connector.starting import read_plan
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.domain.join_tokens import JoinToken, read_pod_address
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.net import clock_check, doctor_findings
from tunnelcloud.net.clock_check import clock_findings
from tunnelcloud.net.doctor_findings import Mark, NoAnswer, shown_certificate
from tunnelcloud.pki.authority import CertificateAuthority
from tunnelcloud.pki.host_keys import HostKey
from tunnelcloud.pki.signing_requests import make_request
from tunnelcloud.pod.shared_secrets import take_shared_secrets
from tunnelcloud.settings import read_pod_settings
from tunnelcloud.store import pods
from tunnelcloud.store.pods import Registration


class Answers:
    """Listens on a loopback port, and does the same to each who connects."""

    def __init__(self, case, answer):
        self.socket = socket.create_server(("127.0.0.1", 0))
        case.addCleanup(self.socket.close)
        self.port = self.socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
                with connection:
                    self._answer(connection)
            except OSError:
                if self.socket.fileno() < 0:
                    return


def speaking(line):
    return lambda connection: connection.sendall(line)


class SSHServer:
    """An SSH server on a loopback port, with one host key.

    :param version: how it identifies itself, behind ``SSH-2.0-``.
    """

    def __init__(self, case, key, version="TunnelCloud"):
        self._loop, begun = asyncio.new_event_loop(), threading.Event()
        self._key, self._version = key, version
        thread = threading.Thread(target=self._run, args=(begun,), daemon=True)
        thread.start()
        case.addCleanup(thread.join)
        case.addCleanup(self._loop.call_soon_threadsafe, self._loop.stop)
        begun.wait(60)
        self.address = f"127.0.0.1:{self.port}"

    def _run(self, begun):
        async def listen():
            private = asyncssh.import_private_key(self._key.private_key)
            server = await asyncssh.listen(
                "127.0.0.1", 0, server_host_keys=[private], server_version=self._version
            )
            self.port = server.get_port()
            begun.set()
            return server

        server = self._loop.run_until_complete(listen())
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(server.wait_closed())
        self._loop.close()


def showing(certificate_file, key_file):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)

    def answer(connection):
        with context.wrap_socket(connection, server_side=True) as spoken:
            spoken.recv(1)

    return answer


class DoctorCase(MachineCase):
    def setUp(self):
        super().setUp()
        self.patch(clock_check, "ask_systemd", lambda: "yes")
        self.state.mkdir(mode=0o700)

    def settings_file(self, text):
        file = self.directory / "settings.toml"
        file.write_text(f'state_directory = "{self.state.absolute()}"\n{text}')
        return file

    def marks(self, findings):
        self.found = {one.what: one for one in findings}
        return {what: one.mark for what, one in self.found.items()}


class PodTests(DoctorCase):
    def examine(self, text=""):
        return self.marks(pod_doctor.examine_pod(read_pod_settings(self.settings_file(text), None)))

    def furnish(self):
        """Make what the first start makes."""
        store = self.open()
        secrets = take_shared_secrets(store, self.state, None)
        registration = Registration(
            name="pod-1", version="1", ssh_address="a:1", connectors_address="a:2", home="h"
        )
        store.write(pods.register, registration)
        return store, secrets

    def test_before_the_first_start(self):
        self.state.rmdir()
        marks = self.examine()
        self.assertEqual(marks["state_directory"], Mark.WARNING)
        self.assertEqual(marks["database"], Mark.WARNING)
        self.assertNotIn(Mark.BAD, marks.values())

    def test_a_pod_that_runs(self):
        store, _ = self.furnish()
        marks = self.examine()
        self.assertEqual(marks["database"], Mark.GOOD)
        self.assertEqual(marks["pod"], Mark.GOOD)
        self.assertEqual(marks["keys"], Mark.GOOD)
        pod = store.read(pods.alive)[0]
        store.write(pods.leave, pod.id, reason="test")
        self.assertEqual(self.examine()["pod"], Mark.WARNING)

    def test_a_database_of_another_version(self):
        store, _ = self.furnish()
        store.close()
        database = sqlite3.connect(self.state / "tunnelcloud.sqlite3")
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
        database.close()
        self.assertEqual(self.examine()["database"], Mark.BAD)
        self.assertIn("9999", self.found["database"].text)

    def test_keys_that_do_not_open(self):
        self.furnish()
        key = self.state / "sealing.key"
        key.write_bytes(b"x" * 32)
        self.assertEqual(self.examine()["keys"], Mark.BAD)
        self.assertIn("another database's", self.found["keys"].text)
        key.unlink()
        self.assertEqual(self.examine()["keys"], Mark.BAD)
        self.assertIn("copy it", self.found["keys"].text)

    def test_the_audit_s_file(self):
        place = self.directory / "logs"
        text = f"[audit.file]\npath = '{place.absolute()}/audit.log'\n"
        self.assertEqual(self.examine(text)["audit.file"], Mark.BAD)
        self.assertIn("logs isn't there: make it", self.found["audit.file"].text)
        place.mkdir()
        self.assertEqual(self.examine(text)["audit.file"], Mark.GOOD)
        (place / "audit.log").mkdir()
        self.assertEqual(self.examine(text)["audit.file"], Mark.BAD)
        self.assertIn("is no file", self.found["audit.file"].text)
        self.assertNotIn("audit.file", self.examine())

    def test_a_full_disk(self):
        usage = pod_doctor.shutil.disk_usage(self.state)
        for free, mark in ((10**6, Mark.BAD), (500 * 10**6, Mark.WARNING), (10**11, Mark.GOOD)):
            self.patch(
                pod_doctor.shutil, "disk_usage", lambda _, free=free: usage._replace(free=free)
            )
            self.assertEqual(self.examine()["state_directory"], mark)

    def test_a_clock_apart_from_the_database_s(self):
        kept = pod_doctor.Kept({}, {}, 0.001, 0.0)
        settings = read_pod_settings(self.settings_file(""), None)
        for ahead, word in ((9.0, "9 s before"), (-9.0, "9 s behind")):
            apart = pod_doctor.Kept(kept.seen, kept.blobs, kept.answered, ahead)
            self.marks(pod_doctor._database(settings, apart))
            self.assertIn(word, self.found["clocks"].text)

    def test_addresses_that_others_are_told(self):
        _, secrets = self.furnish()
        ssh = SSHServer(self, secrets.host_keys.current[0])
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        issued = secrets.authorities.serving.issue_pod_certificate(datetime.now(UTC))
        certificate.write_bytes(issued.pem)
        key.write_bytes(issued.private_key_pem)
        link = Answers(self, showing(certificate, key))
        text = (
            f'[ssh]\npublic_address = "{ssh.address}"\n'
            f'[connectors]\npublic_address = "{link.address}"\n'
        )
        marks = self.examine(text)
        self.assertEqual(marks["ssh.public_address"], Mark.GOOD)
        fingerprint = secrets.host_keys.current[0].fingerprint
        self.assertIn(fingerprint, self.found["ssh.public_address"].text)
        self.assertEqual(marks["connectors.public_address"], Mark.GOOD)
        # Changed over.
        marks = self.examine(
            f'[ssh]\npublic_address = "{link.address}"\n'
            f'[connectors]\npublic_address = "{ssh.address}"\n'
        )
        self.assertEqual(marks["ssh.public_address"], Mark.BAD)
        self.assertEqual(marks["connectors.public_address"], Mark.BAD)

    def test_somebody_else_s_host_key(self):
        _, secrets = self.furnish()
        for algorithm in ("ssh-ed25519", "ssh-rsa"):
            mine = next(one for one in secrets.host_keys.all if one.algorithm == algorithm)
            for key, mark, word in (
                (mine, Mark.GOOD, mine.fingerprint),
                (HostKey.create(algorithm), Mark.BAD, "another installation"),
            ):
                server = SSHServer(self, key)
                marks = self.examine(f'[ssh]\npublic_address = "{server.address}"\n')
                self.assertEqual(marks["ssh.public_address"], mark)
                self.assertIn(word, self.found["ssh.public_address"].text)

    def test_what_only_says_that_it_is_a_pod(self):
        self.furnish()
        said = b"SSH-2.0-TunnelCloud\r\n"
        for more in (b"", b"\r\n" * 20_000, b"\x00\x00\x00\x0c\x04\x14" + b"x" * 40):
            server = Answers(self, speaking(said + more))
            marks = self.examine(f'[ssh]\npublic_address = "{server.address}"\n')
            self.assertEqual(marks["ssh.public_address"], Mark.BAD)
            self.assertIn("what answers at", self.found["ssh.public_address"].text)

    def test_somebody_else_s_certificate(self):
        self.furnish()
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        write_certificate(certificate, key, "inspection.corp")
        link = Answers(self, showing(certificate, key))
        marks = self.examine(f'[connectors]\npublic_address = "{link.address}"\n')
        self.assertEqual(marks["connectors.public_address"], Mark.BAD)
        self.assertIn("CN=inspection.corp", self.found["connectors.public_address"].text)

    def test_a_certificate_that_cannot_be_read(self):
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        write_certificate(certificate, key)
        address = PublicAddress("127.0.0.1", Answers(self, showing(certificate, key)).port)

        def odd(_):
            raise ValueError("unknown version")

        self.patch(doctor_findings.x509, "load_der_x509_certificate", odd)
        error = self.assertRaises(NoAnswer, shown_certificate, address, b"x")
        self.assertIn("can't be read", str(error))

    def test_a_name_that_leads_nowhere(self):
        self.furnish()

        def unknown(*_, **__):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

        self.patch(socket, "getaddrinfo", unknown)
        marks = self.examine('[ssh]\npublic_address = "gate.invalid:22"\n')
        self.assertEqual(marks["ssh.public_address"], Mark.BAD)

    def test_the_web_s_certificate(self):
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        write_certificate(certificate, key)
        key.chmod(0o600)
        text = f'[web]\ncertificate = "{certificate}"\nprivate_key = "{key}"\n'
        self.assertEqual(self.examine(text)["web.certificate"], Mark.GOOD)
        certificate.write_text("nonsense")
        self.assertEqual(self.examine(text)["web.certificate"], Mark.BAD)


class ConnectorTests(DoctorCase):
    def examine(self, text=""):
        plan = read_plan(None, self.settings_file(f"allow = []\n{text}"), None)
        return self.marks(examine_connector(plan))

    def join(self, pod, when=None, authority=None):
        """Make what joining leaves; give the CA."""
        when = when or datetime.now(UTC)
        authority = authority or CertificateAuthority.create(when)
        state = ConnectorState(self.state)
        request = make_request(state.private_key())
        certificate = authority.sign_request(request, "con_1", when, timedelta(days=30)).pem
        pod = read_pod_address(pod)
        token = JoinToken(pod, authority.pin, bytes(20))
        state.join(token, "con_1", certificate, authority.certificate_pem, [pod])
        return authority

    def pod(self, authority):
        certificate, key = self.directory / "c.pem", self.directory / "k.pem"
        issued = authority.issue_pod_certificate(datetime.now(UTC))
        certificate.write_bytes(issued.pem)
        key.write_bytes(issued.private_key_pem)
        return Answers(self, showing(certificate, key)).address

    def test_a_pod_that_answers(self):
        authority = CertificateAuthority.create(datetime.now(UTC))
        address = self.pod(authority)
        self.join(address, authority=authority)
        marks = self.examine()
        self.assertEqual(marks, {
            "clock": Mark.GOOD, "certificate": Mark.GOOD, f"pod {address}": Mark.GOOD
        })  # fmt: skip
        self.assertIn("answers directly", self.found[f"pod {address}"].text)

    def test_a_pod_that_does_not(self):
        self.join("127.0.0.1:1")
        self.assertEqual(self.examine()["pod 127.0.0.1:1"], Mark.BAD)
        self.assertIn("firewall", self.found["pod 127.0.0.1:1"].text)

    def test_tls_that_is_opened_on_the_way(self):
        address = self.pod(CertificateAuthority.create(datetime.now(UTC)))
        self.join(address)
        self.assertEqual(self.examine()[f"pod {address}"], Mark.BAD)
        self.assertIn("not by this cluster", self.found[f"pod {address}"].text)

    def test_a_proxy_that_is_away(self):
        self.join("pod.example:8443")
        self.assertEqual(
            self.examine('proxy = "http://127.0.0.1:1"\n')["pod pod.example:8443"], Mark.BAD
        )
        self.assertIn("through the proxy", self.found["pod pod.example:8443"].text)

    def test_certificates_and_clocks(self):
        now = datetime.now(UTC)
        for days, what, mark, word in (
            (-40, "certificate", Mark.BAD, "ended on"),
            (-25, "certificate", Mark.WARNING, "wasn't renewed"),
            (5, "clock", Mark.BAD, "set the clock"),
        ):
            for file in self.state.iterdir():
                file.unlink()
            self.join("127.0.0.1:1", now + timedelta(days=days))
            self.assertEqual(self.examine()[what], mark)
            self.assertIn(word, self.found[what].text)

    def test_before_it_has_joined(self):
        self.assertEqual(self.examine()["membership"], Mark.BAD)
        self.assertIn("join token", self.found["membership"].text)

    def test_where_there_is_no_command_line(self):
        said = io.StringIO()
        self.patch(sys, "stdout", said)
        self.assertEqual(main([str(self.settings_file("allow = []\n"))]), 1)
        self.assertIn("✕ membership", said.getvalue())
        authority = CertificateAuthority.create(datetime.now(UTC))
        self.join(self.pod(authority), authority=authority)
        self.assertEqual(main([str(self.settings_file("allow = []\n"))]), 0)


class CommandTests(DoctorCase):
    def test_lines_and_exit_status(self):
        said = self.run_command("doctor", "--config", self.settings_file("[ssh]\n"))
        self.assertIn("✓ settings: a pod can start", said)
        self.assertEqual(self.answer, said, "it may be wanted in a file")
        self.assertIn("! database: there is none yet", said)
        key = self.state / "tunnelcloud.sqlite3"
        key.write_text("nonsense")
        said = self.run_command("doctor", "--config", self.settings_file("[ssh]\n"), status=1)
        self.assertIn("✕ database:", said)

    def test_json(self):
        file = self.settings_file("[ssh]\n")
        found = json.loads(self.run_command("doctor", "--config", file, "--json"))
        self.assertEqual(found[0]["what"], "settings")
        self.assertEqual({one["mark"] for one in found}, {"good", "warning"})

    def test_settings_with_a_fault(self):
        said = self.run_command("doctor", "--config", self.settings_file("[ssh]\nx = 1"), status=1)
        self.assertIn("ssh.x", said)

    def test_a_connector_s_file(self):
        file = self.settings_file('allow = ["10.0.0.0/8"]')
        said = self.run_command("doctor", "--config", file, status=1)
        self.assertIn("✓ settings: a connector can start", said)
        self.assertIn("✕ membership:", said)

    def test_links_and_targets(self):
        with FakeApi() as api:
            for name, pods_, joined in (("a", 1, "t"), ("b", 0, "t"), ("c", 0, None)):
                api.put(
                    "connectors", name=name, joined_at=joined, attached_to={"pods": pods_, "of": 1}
                )
            check = {"ok": False, "text": "connection refused"}
            api.put("tunnels", name="db", last_check=check)
            api.put("tunnels", name="new", last_check=None)
            connection = Connection(api.url, TOKEN, None)
            with click.Context(doctor.doctor):
                found = {one.what: one for one in doctor._links_and_targets(connection)}
        self.assertEqual(set(found), {"connector b", "connector c", "tunnel db"})
        self.assertEqual(found["connector b"].mark, Mark.BAD)
        self.assertEqual(found["connector c"].mark, Mark.WARNING)
        self.assertEqual(found["tunnel db"].text, "connection refused")

    def test_a_pod_that_does_not_answer(self):
        connection = Connection("http://127.0.0.1:1", TOKEN, None)
        with click.Context(doctor.doctor):
            [found] = doctor._links_and_targets(connection)
        self.assertEqual(found.mark, Mark.BAD)


class ClockTests(DoctorCase):
    def test_what_systemd_tells(self):
        for answer, marks in (("yes", [Mark.GOOD]), ("no", [Mark.WARNING]), ("", [])):
            self.patch(clock_check, "ask_systemd", lambda answer=answer: answer)
            self.assertEqual([one.mark for one in clock_findings()], marks)
