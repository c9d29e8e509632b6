"""Whoever answers in a pod's place holds no command for ever, and fills no memory."""

import json
import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.support import CommandTestCase
from tunnelcloud.cli import client
from tunnelcloud.cli.client import Api, Failed, Unreachable

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class DrippingServer:
    """Sends a few bytes, then one byte every now and then until its client has gone."""

    def __init__(self, begin, drop):
        self.begin, self.drop = begin, drop
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        connection, _ = self.listener.accept()
        with connection:
            try:
                connection.recv(65536)
                connection.sendall(self.begin)
                while not self.over.wait(0.05):
                    connection.sendall(self.drop)
            except OSError:
                pass

    def close(self):
        self.over.set()
        self.listener.close()
        self.thread.join(60)


class TimeTests(SynchronousTestCase):
    def refused(self, begin, drop=b" "):
        self.patch(client, "_CONNECT_SECONDS", 0.5)
        server = DrippingServer(begin, drop)
        self.addCleanup(server.close)
        api = Api(server.url, "t")
        self.addCleanup(api.close)
        with self.assertRaises(Unreachable) as caught:
            api.send("GET", "sites", seconds=0.2)
        self.assertIn("did not answer in time", str(caught.exception))

    def test_headers_that_drip(self):
        self.refused(HEAD + b"X-More: ")

    def test_a_body_that_drips(self):
        self.refused(HEAD + b"Content-Length: 1000000\r\n\r\n{")

    def test_a_body_without_a_length_isnt_taken_for_whole(self):
        self.refused(HEAD + b"\r\n{}")


class SizeTests(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.patch(client, "MOST_BYTES", 1000)
        text = json.dumps({"items": [], "next_cursor": None, "users": {"x" * 900: {}}}) + " " * 200
        self.api.override = (200, "application/json", text)

    def test_an_answer_that_is_too_long(self):
        self.assertIn("answered more than", self.fail_line("site", "list"))
        with self.assertRaises(Failed):
            Api(self.api.url, "t").text("/known_hosts")

    def test_an_export_may_be_long(self):
        self.assertIn("xxx", json.dumps(self.succeed_json("export")))


class ShapeTests(CommandTestCase):
    def test_a_list_of_what_are_no_objects(self):
        for items in ([1], ["x"], [None], [[]], {"a": 1}, "abc", None):
            self.api.override = (200, "application/json", json.dumps({"items": items}))
            for words in (("site", "list"), ("site", "show", "x")):
                self.assertIn("without a list of items", self.fail_line(*words))
