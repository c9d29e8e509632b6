"""What is used of Conch that has no public name, and the faults that made it necessary.

Pinned for Twisted 26.10.  A test that fails here after an upgrade says which subclass to look at.
"""

import inspect

from twisted.conch.ssh import transport
from twisted.conch.ssh.transport import SSHServerTransport
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.ssh.transport import FrontDoorTransport


class PrivateNamesTests(SynchronousTestCase):
    """Two private methods are relied upon: ``_keySetup`` and ``_getHostKeys``."""

    def test_signatures(self) -> None:
        """They take what we give them, and what we expect to be given."""
        for method, expected in (
            (SSHServerTransport._keySetup, ["self", "sharedSecret", "exchangeHash"]),
            (SSHServerTransport._getHostKeys, ["self", "keyAlg"]),
        ):
            self.assertEqual(list(inspect.signature(method).parameters), expected)

    def test_key_exchanges_end_in_key_setup(self) -> None:
        """Every exchange on offer is dispatched from message 30 and ends by calling it."""
        dispatch = inspect.getsource(SSHServerTransport.ssh_KEX_DH_GEX_REQUEST_OLD)
        for method in (
            SSHServerTransport._ssh_KEX_ECDH_INIT,
            SSHServerTransport._ssh_KEX_HYBRID_INIT,
        ):
            self.assertIn(method.__name__, dispatch)
            self.assertTrue(
                inspect.getsource(method)
                .rstrip()
                .endswith("self._keySetup(sharedSecret, exchangeHash)")
            )

    def test_overridden_names_exist(self) -> None:
        """What overrides Conch still overrides something."""
        for name in (
            "_keySetup",
            "sendKexInit",
            "sendPacket",
            "sendDisconnect",
            "ssh_KEXINIT",
            "ssh_NEWKEYS",
            "ssh_EXT_INFO",
            "ssh_SERVICE_REQUEST",
            "ssh_KEX_DH_GEX_REQUEST_OLD",
            "dispatchMessage",
            "loseConnection",
        ):
            self.assertTrue(callable(getattr(SSHServerTransport, name)), name)

    def test_message_table(self) -> None:
        """Numbers 1 to 7, 20, 21 and 30 lead to the methods that are overridden."""
        for number, name in (
            (1, "DISCONNECT"),
            (2, "IGNORE"),
            (3, "UNIMPLEMENTED"),
            (4, "DEBUG"),
            (5, "SERVICE_REQUEST"),
            (7, "EXT_INFO"),
            (20, "KEXINIT"),
            (21, "NEWKEYS"),
            (30, "KEX_DH_GEX_REQUEST_OLD"),
        ):
            self.assertEqual(transport.messages[number], f"MSG_{name}")
            self.assertTrue(callable(getattr(FrontDoorTransport, f"ssh_{name}")))
