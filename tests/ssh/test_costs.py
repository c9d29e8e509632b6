"""What a stranger may send to the SSH front door costs time in proportion to its length."""

import contextlib
import os

from cryptography.hazmat.primitives.asymmetric import ed25519
from twisted.conch.ssh.common import MP
from twisted.conch.ssh.keys import Key
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.costs import LINEAR, cpu_seconds, growth
from tests.ssh.client import Client, Socket
from tests.ssh.fakes import Pod
from tunnelcloud.channels.messages import ProtocolError, pack_string
from tunnelcloud.domain.names import parse_login
from tunnelcloud.domain.tokens import as_typed, hash_secret
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.proxy_protocol import SIGNATURE, BadProxyHeader, ProxyHeader
from tunnelcloud.net.source_limits import FloodLimits
from tunnelcloud.ssh.algorithms import NoCommonAlgorithm, negotiate, our_proposal, read_proposal
from tunnelcloud.ssh.login_requests import read_answer, read_request
from tunnelcloud.ssh.packets import LARGEST_BEFORE_LOGIN, PacketReader, WireError
from tunnelcloud.ssh.signatures import is_usable, signed_data, verify
from tunnelcloud.ssh.transport import FrontDoorTransport

REFUSALS = (ProtocolError, WireError, BadProxyHeader, NoCommonAlgorithm, ValueError)
OURS = our_proposal([b"curve25519-sha256"], [b"ssh-ed25519"])
AT_ONCE = 0.1
"""Seconds of CPU time that one message may take, on a slow machine: a turn of the reactor."""


def tried(read):
    """Give the same, but for its refusals."""

    def work(given):
        with contextlib.suppress(*REFUSALS):
            read(given)

    return work


def pieces(size):
    """Give a connection's far end that sends in pieces of a size."""

    def received(data):
        pod = Pod(Clock(), flood_limits=FloodLimits(threshold=10**9))
        server = FrontDoorTransport(pod.factory)
        server.makeConnection(socket := Socket("192.0.2.7"))
        for start in range(0, len(data), size):
            if socket.disconnecting:
                break
            server.dataReceived(data[start : start + size])
        server.connectionLost()

    return received


def packet_byte_by_byte(data):
    reader = PacketReader()
    for start in range(len(data)):
        reader.feed(data[start : start + 1])
        reader.next()


def header_byte_by_byte(data):
    header = ProxyHeader()
    for start in range(len(data)):
        if header.feed(data[start : start + 1]) is not None:
            return


def kexinit(*lists):
    filled = [*lists, *[b"x"] * (10 - len(lists))]
    return bytes(16) + b"".join(map(pack_string, filled)) + bytes(5)


def proposed(payload):
    negotiate(read_proposal(payload), OURS)


def userauth(method, rest, user=b"alice"):
    return b"".join(map(pack_string, (user, b"ssh-connection", method))) + rest


def login_name(raw):
    parse_login(raw)
    escape(raw, 320)


def token(payload):
    request = read_request(payload)
    hash_secret(request.token)
    as_typed(request.token)


def rsa_blob(size):
    """Make an RSA key whose numbers are as long as a message may be."""
    number = int.from_bytes(b"\xff" * (size // 2), "big")
    return pack_string(b"ssh-rsa") + MP(number) + MP(number)


def signed_with(blob):
    key = Key(ed25519.Ed25519PrivateKey.generate())
    signature = key.sign(b"x")
    verify(b"rsa-sha2-512", blob, pack_string(b"rsa-sha2-512") + signature[4:], b"x")


class CostTests(SynchronousTestCase):
    """Time for n and for four times as much of the worst inputs."""

    def check(self, read, make, size, name):
        self.assertLess(growth(tried(read), make, size), LINEAR, name)

    def test_identification(self):
        for name, size in (("bytes", 1), ("reads", 65_536)):
            for what, make in {
                "no end": lambda n: b"SSH-2.0-" + b"x" * n,
                "lines": lambda n: b"\n" * n,
                "a line before": lambda n: b"hello\r\n" * (n // 7),
                "packets without encryption": lambda n: (
                    b"SSH-2.0-x\r\n" + (b"\0\0\0\x0c\x0a\x02" + bytes(10)) * (n // 16)
                ),
            }.items():
                self.check(pieces(size), make, 100_000, f"{what} in {name}")

    def test_packets(self):
        length = (LARGEST_BEFORE_LOGIN - 8) // 8 * 8 - 4
        whole = length.to_bytes(4, "big") + b"\x0a\x14" + bytes(length - 2)
        self.check(packet_byte_by_byte, lambda n: whole * (n // len(whole)), 70_000, "whole ones")
        self.check(packet_byte_by_byte, lambda n: whole[: n // 2], 17_000, "one that never ends")

    def test_key_exchange(self):
        for name, make in {
            "names": lambda n: kexinit(b"a," * (n // 2)),
            "commas": lambda n: kexinit(b"," * n, b"," * n, b"," * n),
            "our names": lambda n: kexinit(b"curve25519-sha256," * (n // 18)),
            "one name": lambda n: kexinit(b"a" * n),
            "names in each list": lambda n: kexinit(*[b"aes128-ctr,x," * (n // 130)] * 10),
        }.items():
            self.check(proposed, make, 100_000, name)

    def test_login_requests(self):
        for name, read, make in [
            ("a user", read_request, lambda n: userauth(b"none", b"", b"x" * n)),
            ("a method", read_request, lambda n: userauth(b"x" * n, b"")),
            ("a token", token, lambda n: userauth(b"password", b"\0" + pack_string(b"\xff" * n))),
            ("blanks for a token", token,
             lambda n: userauth(b"password", b"\0" + pack_string(b"\xe2\x80\x8b" * (n // 3)))),
            ("an answer", read_answer, lambda n: b"\0\0\0\1" + pack_string(b" " * n)),
            ("a login name", login_name, lambda n: b"tcptunnel@" * (n // 10)),
            ("a login name of blanks", login_name, lambda n: b" " * n),
            ("a login name without text", login_name, lambda n: b"\xff" * n),
            ("what is signed", lambda raw: signed_data(raw, raw, raw, raw), bytes),
        ]:  # fmt: skip
            self.check(read, make, 200_000, name)

    def test_proxy_headers(self):
        for name, make in {
            "version 1": lambda n: b"PROXY UNKNOWN " + b"x" * n,
            "version 1 of blanks": lambda n: b"PROXY TCP4" + b" " * n,
            "version 2": lambda n: SIGNATURE + b"\x21\x11\x07\xff" + bytes(n),
            "none": lambda n: b"\r\n" * n,
        }.items():
            self.check(header_byte_by_byte, make, 50_000, name)

    def test_one_message_takes_no_longer_than_a_turn(self):
        """As long as it may be before the login, whatever is in it."""
        size = LARGEST_BEFORE_LOGIN
        for name, read, given in [
            ("lists", proposed, kexinit(*[b"," * (size // 10)] * 10)),
            ("a key of large numbers", lambda blob: is_usable(b"rsa-sha2-512", blob),
             rsa_blob(size)),
            ("its signature", signed_with, rsa_blob(size)),
            ("a random key", lambda blob: is_usable(b"ssh-ed25519", blob),
             pack_string(b"ssh-ed25519") + pack_string(os.urandom(size))),
            ("a token", token, userauth(b"password", b"\0" + pack_string(b"\xff" * size))),
        ]:  # fmt: skip
            self.assertLess(cpu_seconds(lambda g=given, r=read: tried(r)(g)), AT_ONCE, name)

    def test_a_read_of_login_requests(self):
        """Refusals of one read's worth of messages before the login end it soon."""
        client = Client().secure()
        many = b"".join(client.seal(b"\x02" + pack_string(bytes(100))) for _ in range(2000))
        self.assertLess(cpu_seconds(lambda: client.write(many), repeats=1), 3 * AT_ONCE)
        self.assertIn("without a meaning", client.disconnected())
