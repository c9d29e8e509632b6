"""What is taken away, and what ends by itself, ends the streams that it had opened."""

import socket
import time
from datetime import UTC, datetime, timedelta

from tests.integration.processes import PATIENCE, Keys
from tests.integration.worlds import WorldCase


class RevocationTests(WorldCase):
    def stream_of(self, user, key, tunnel="echo"):
        """Open a user's stream to the echo; give it, and their ssh."""
        target = f"{tunnel}:{self.world.echo.port}"
        process, port = self.world.client.forward(user, target, key=key)
        self.addCleanup(process.stop)
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.sendall(b"hello")
        self.assertEqual(connection.recv(5), b"hello")
        return connection, process

    def hold(self, name):
        """Open alice's stream through a new tunnel to the echo; give it, and their ssh."""
        self.world.tunnel(name, "127.0.0.1", self.world.echo.port)
        return self.stream_of("alice", self.world.key, name)

    def session_of(self, name):
        sessions = self.world.do("session", "list", "--live")["items"]
        for session in sessions:
            channels = self.world.do("session", "channels", session["id"])["items"]
            if any(channel["destination"] == name for channel in channels):
                return session
        raise AssertionError(f"no session has a channel to {name}")

    def test_an_assignment(self):
        kept, _ = self.hold("kept")
        lost, _ = self.hold("lost")
        self.world.do("unassign", "lost", "--user", "alice")
        self.assertEqual(lost.recv(1), b"", "the stream ends")
        kept.sendall(b"still here")
        self.assertEqual(kept.recv(10), b"still here")

    def ended(self, session_id):
        """Give a session once its end is written."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            session = self.world.do("session", "show", session_id)
            if session["ended_at"] is not None:
                return session
        raise AssertionError("the session's end isn't recorded")

    def test_a_session_ended_by_an_administrator(self):
        connection, process = self.hold("ended")
        session = self.session_of("ended")
        self.world.do("session", "end", session["id"])
        self.assertEqual(connection.recv(1), b"")
        process.wait_for("Received disconnect.*")
        past = self.ended(session["id"])
        self.assertEqual((past["bytes_to_target"], past["bytes_from_target"]), (5, 5))

    def test_a_key(self):
        key = Keys(self.world.directory, "second-key")
        self.world.do("user", "create", "dave")
        self.world.do("assign", "echo", "--user", "dave", "--method", "key")
        added = self.world.do("key", "add", "dave", "--public-key", key.public)
        connection, process = self.stream_of("dave", key)
        self.world.do("key", "revoke", "dave", added["id"])
        self.assertEqual(connection.recv(1), b"")
        process.wait_for("the key was revoked")

    def test_a_key_that_expires_while_its_session_is_open(self):
        key = Keys(self.world.directory, "passing-key")
        self.world.do("user", "create", "erin")
        self.world.do("assign", "echo", "--user", "erin", "--method", "key")
        soon = datetime.now(UTC) + timedelta(seconds=4)
        self.world.do(
            "key", "add", "erin", "--public-key", key.public, "--expires", soon.isoformat()
        )
        connection, process = self.stream_of("erin", key)
        self.assertEqual(connection.recv(1), b"")
        process.wait_for("the key has expired")
