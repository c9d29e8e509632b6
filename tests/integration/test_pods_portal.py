"""Two pods on one PostgreSQL: what people do at the portal of the one holds at the other."""

import socket
import time
import urllib.error
import urllib.parse
import urllib.request

from tests.integration.processes import PATIENCE, Process
from tests.integration.test_pods import PodsCase
from tests.integration.test_terminal import PASSWORD, PortalVisitor


class PortalsCase(PodsCase):
    def member(self, role="user"):
        """Make a user with a password; give their name and a browser, signed in at the second."""
        name, _ = self.pods.user()
        self.do("user", "set", name, "--role", role)
        visitor = PortalVisitor(self.pods.gateways[1])
        link = urllib.parse.urlsplit(self.do("user", "invite", name)["url"]).path
        visitor.send(link, link, password=PASSWORD, again=PASSWORD)
        return name, visitor


class BrowserLoginTests(PortalsCase):
    def test_it_begins_at_one_pod_and_is_confirmed_at_the_other(self):
        name, visitor = self.member()
        directory = self.pods.directory
        go, program = directory / f"{name}-go", directory / f"{name}-return"
        program.write_text(f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.1; done\necho\n")
        program.chmod(0o700)
        asking = {"SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        client = self.pods.clients[0]
        words = [*client.arguments(name), "ls"]
        ssh = Process(words, {**client.environment(), **asking})
        self.addCleanup(ssh.kill)
        self.addCleanup(go.touch)  # ends the program, which has ssh's output
        path = urllib.parse.urlsplit(ssh.wait_for(r"Open (http\S+) and confirm")[1]).path

        waits = f"SELECT 1 FROM device_logins WHERE login_name = '{name}'"
        self.eventually(lambda: self.pods.execute(waits), "the login is written down")
        self.assertIn("You confirmed the login", visitor.send(path, path, answer="allow"))
        go.touch()
        ssh.wait_for(f"^{name} ")
        self.assertEqual(ssh.process.wait(PATIENCE), 0)
        methods = [row[0] for row in self.pods.execute(
            f"SELECT method FROM sessions WHERE user_name = '{name}'"
        )]  # fmt: skip
        self.assertEqual(methods, ["browser"])


class ApprovalTests(PortalsCase):
    def test_asked_at_one_pod_and_approved_at_the_other(self):
        approver, visitor = self.member()
        self.do("group", "create", f"of-{approver}")
        self.do("group", "add", f"of-{approver}", approver)
        name, key = self.pods.user("--approval", "others", "--approvers", f"of-{approver}")
        target = f"{name}:{self.pods.echo.port}"
        process, port = self.pods.clients[0].forward(name, target, key=key)
        self.addCleanup(process.stop)
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"hello")
        query = (
            "SELECT approval_requests.id FROM approval_requests JOIN users "
            f"ON users.id = user_id WHERE users.name = '{name}'"
        )
        self.eventually(lambda: self.pods.execute(query), "the request waits")
        [[request_id]] = self.pods.execute(query)
        path = f"/requests/{request_id}"
        self.assertIn(f"May {name} open {name}?", visitor.get(path))
        visitor.send(path, path, decision="approve")
        self.assertEqual(connection.recv(5), b"hello")


class LivePageTests(PortalsCase):
    def test_a_page_at_one_pod_shows_what_happens_at_the_other(self):
        _, visitor = self.member("auditor")
        name, key = self.pods.user()
        query = urllib.parse.urlencode({"address": f"/admin/sessions?live=true&q={name}"})
        with visitor.open(f"/live?{query}") as stream:
            self.read_until(stream, "No open session matches")
            self.hold(0, name, key)
            self.read_until(stream, f"{name}</a>")

    def read_until(self, stream, wanted):
        deadline = time.monotonic() + PATIENCE
        for line in stream:
            if wanted in line.decode():
                return
            self.assertLess(time.monotonic(), deadline, f"{wanted} is shown")


class LockoutTests(PortalsCase):
    def kept_out(self, pod):
        token = self.pods.gateways[0].admin_token
        found = self.pods.gateways[pod].api("GET", "/lockouts", token=token)["items"]
        return [one["name"] for one in found if one["door"] == "portal"]

    def test_who_guesses_at_one_pod_waits_at_the_other(self):
        name, _ = self.member()
        visitors = [PortalVisitor(gateway) for gateway in self.pods.gateways]
        tries = 0
        deadline = time.monotonic() + PATIENCE
        while name not in self.kept_out(1):
            self.assertLess(time.monotonic(), deadline, "the other pod keeps them out")
            try:
                visitors[0].send("/sign-in", "/sign-in", name=name, password="wrong " * 3)
            except urllib.error.HTTPError as error:
                self.assertIn(error.code, (422, 429))
                tries += error.code == 422
        self.assertGreaterEqual(tries, 5)
