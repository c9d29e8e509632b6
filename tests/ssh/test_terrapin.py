"""Terrapin (CVE-2023-48795): whoever sits between can neither drop nor insert a packet."""

import os

from twisted.trial.unittest import SynchronousTestCase

from tests.ssh.client import ALL_CIPHERS, Client
from tunnelcloud.channels.messages import pack_string
from tunnelcloud.ssh.packet_sealing import PlainSealer

IGNORE = b"\x02" + pack_string(b"inserted")


def plain(payload: bytes) -> bytes:
    """Give a packet as someone without keys can make it."""
    return b"".join(PlainSealer(0).seal(payload, b""))


class TerrapinTests(SynchronousTestCase):
    """For every cipher, strict or not: the connection breaks, and nothing is served."""

    def broken(self, client: Client) -> None:
        self.assertTrue(client.socket.disconnecting)
        self.assertEqual(client.pod.access.sessions, {})

    def test_insert_before_newkeys(self) -> None:
        """A packet inserted anywhere in the first key exchange is refused."""
        for keys in ALL_CIPHERS:
            for place in range(4):
                client = Client(keys=keys).identify()
                if place == 0:
                    client.write(plain(IGNORE))
                    self.broken(client)
                    continue
                client.send_kexinit()
                client.take_kexinit()
                if place == 1:
                    client.write(plain(IGNORE))
                    self.broken(client)
                    continue
                client.send_kex()
                client.expect(21)
                newkeys = client.newkeys()
                if place == 2:
                    client.write(plain(IGNORE) + newkeys)
                else:
                    client.write(newkeys + plain(IGNORE) + client.seal(b"\x02" + bytes(30)))
                self.broken(client)

    def test_drop_after_newkeys(self) -> None:
        """The first encrypted packet (EXT_INFO, for one) can't be cut out."""
        for keys in ALL_CIPHERS:
            for dropped in (1, 2, 3):
                client = Client(keys=keys).identify().exchange_keys()
                for _ in range(dropped):
                    client.seal(b"\x07\0\0\0\0")
                client.send(b"\x05" + pack_string(b"ssh-userauth"))
                self.broken(client)

    def test_drop_and_insert(self) -> None:
        """The attack itself: as many inserted before NEWKEYS as are dropped after it."""
        for keys in ALL_CIPHERS:
            client = Client(keys=keys).identify().send_kexinit()
            client.take_kexinit()
            client.send_kex()
            client.expect(21)
            client.write(plain(IGNORE))
            newkeys = client.newkeys()
            client.seal(b"\x07\0\0\0\0")
            client.write(newkeys + client.seal(b"\x05" + pack_string(b"ssh-userauth")))
            self.broken(client)

    def test_towards_the_client(self) -> None:
        """With strict kex our own count starts anew at NEWKEYS, so that a client can tell."""
        for keys in ALL_CIPHERS:
            client = Client(keys=keys).identify().exchange_keys()
            self.assertEqual(client.server.sealer.sequence, 1)
            self.assertEqual(client.server.reader.opener.sequence, 0)
            client.request_login().send_token()
            client.expect(52)
            client.exchange_keys()
            self.assertEqual(client.server.sealer.sequence, 0)
            self.assertEqual(client.server.reader.opener.sequence, 0)

    def test_garbage_for_a_packet(self) -> None:
        """Random bytes in place of a packet are no packet."""
        for keys in ALL_CIPHERS:
            client = Client(keys=keys).secure()
            client.write(os.urandom(40_000))
            self.broken(client)
