"""This machine's own name, whatever the name service makes of it."""

import socket

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.own_name import own_name


class OwnNameTests(SynchronousTestCase):
    def test_a_name_that_dns_cannot_have(self):
        self.patch(socket, "gethostname", lambda: "h" * 64)
        self.assertEqual(own_name(), "h" * 64)
