"""A machine connects to itself, and tells itself from any other server."""

import errno
import socket
import threading

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net import own_address_check
from tunnelcloud.net.own_address_check import Reply, call, listener


class WayBackTests(SynchronousTestCase):
    def setUp(self):
        self.patch(own_address_check, "ANSWER_SECONDS", 60.0)

    def listening(self, interface=""):
        listening = listener(0, interface)
        self.addCleanup(listening.close)
        return listening, listening.getsockname()[1]

    def serve(self, *sayings):
        """Have another server accept a connection for each saying; None never says anything."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        kept = []

        def answer():
            for saying in sayings:
                connection, _ = server.accept()
                if saying is None:
                    kept.append(connection)
                    continue
                with connection:
                    connection.sendall(saying)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(lambda: [one.close() for one in kept])
        return server.getsockname()[1]

    def test_it_comes_back(self):
        listening, port = self.listening()
        self.assertEqual(
            call(listening, ["127.0.0.1", "127.0.0.2"], port),
            {"127.0.0.1": Reply(is_back=True), "127.0.0.2": Reply(is_back=True)},
        )

    def test_through_what_hands_it_on(self):
        listening, port = self.listening()
        middle = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(middle.close)

        def hand_on():
            outside, _ = middle.accept()
            with outside, socket.create_connection(("127.0.0.1", port)) as inside:
                while data := inside.recv(100):
                    outside.sendall(data)

        thread = threading.Thread(target=hand_on, daemon=True)
        thread.start()
        found = call(listening, ["127.0.0.1"], middle.getsockname()[1])
        thread.join()
        self.assertEqual(found, {"127.0.0.1": Reply(is_back=True)})

    def test_another_server(self):
        listening, _ = self.listening()
        port = self.serve(b"SSH-2.0-Other\r\n", b"", b"0" * 32)
        for said in (b"SSH-2.0-Other\r\n", b"", b"0" * 32):
            self.assertEqual(call(listening, ["127.0.0.1"], port), {"127.0.0.1": Reply(said=said)})
            listening, _ = self.listening()

    def test_a_server_that_says_nothing(self):
        self.patch(own_address_check, "ANSWER_SECONDS", 0.5)
        listening, _ = self.listening()
        port = self.serve(None)
        self.assertEqual(call(listening, ["127.0.0.1"], port), {"127.0.0.1": Reply()})

    def test_nobody_there(self):
        listening, port = self.listening("127.0.0.1")
        found = call(listening, ["127.0.0.2"], port)["127.0.0.2"]
        self.assertEqual((found.is_back, found.fault), (False, "Connection refused"))

    def test_no_more_addresses_than_a_few_are_tried(self):
        listening, port = self.listening()
        addresses = [f"127.0.0.{one}" for one in range(1, 30)]
        self.assertEqual(list(call(listening, addresses, port)), addresses[:8])

    def test_a_port_that_is_taken(self):
        _, port = self.listening("127.0.0.1")
        error = self.assertRaises(OSError, listener, port)
        self.assertEqual(error.errno, errno.EADDRINUSE)

    def test_ipv4_alone(self):
        self.patch(own_address_check, "has_both_families", lambda: False)
        listening, port = self.listening()
        self.assertEqual(listening.family, socket.AF_INET)
        self.assertEqual(call(listening, ["127.0.0.1"], port), {"127.0.0.1": Reply(is_back=True)})
