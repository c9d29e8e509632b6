"""Terrapin (CVE-2023-48795) as it is done: a proxy between a real ssh and the front door.

It inserts a packet before NEWKEYS, drops the first one after it, or does both, which is what a
client and a server without strict key exchange don't notice; in either direction, for each cipher.
"""

from collections.abc import Callable

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from tests.integration.front_door import FrontDoorCase, Knocker
from tests.ssh.fakes import HOST_KEY
from tunnelcloud.channels.messages import pack_string
from tunnelcloud.ssh import exchange
from tunnelcloud.ssh.algorithms import CIPHERS
from tunnelcloud.ssh.limits import Limits
from tunnelcloud.ssh.packet_sealing import PlainSealer

INSERTED = b"".join(PlainSealer(0).seal(b"\x02" + pack_string(b"inserted"), b""))
NEWKEYS = 21
TO_CLIENT, TO_SERVER = "to the client", "to the server"
ATTACKS = [
    (direction, *what)
    for direction in (TO_CLIENT, TO_SERVER)
    for what in (("insert",), ("drop",), ("insert", "drop"))
]


class Direction:
    """What passes one way.

    :param attack: any of ``insert`` and ``drop``.
    :ivar done: what was done of that.
    """

    def __init__(self, attack: tuple[str, ...]) -> None:
        self.attack = attack
        self.done: set[str] = set()
        self._received = b""
        self._identified = False
        self._secret = False

    def feed(self, data: bytes) -> bytes:
        """Take what came; give what is passed on."""
        if self._secret:
            return self._drop(data)
        self._received += data
        out = b""
        if not self._identified:
            line, ended, rest = self._received.partition(b"\n")
            if not ended:
                return b""
            self._identified = True
            self._received = rest
            out = line + ended
        while len(self._received) >= 4 and not self._secret:
            end = 4 + int.from_bytes(self._received[:4])
            if len(self._received) < end:
                break
            packet, self._received = self._received[:end], self._received[end:]
            if packet[5] == NEWKEYS:
                self._secret = True
                if "insert" in self.attack:
                    self.done.add("insert")
                    out += INSERTED
            out += packet
        if self._secret and self._received:
            out += self._drop(self._received)
        return out

    def _drop(self, data: bytes) -> bytes:
        """Drop the first encrypted packet, which comes in a read of its own, or as its end."""
        if "drop" in self.attack and "drop" not in self.done:
            self.done.add("drop")
            return b""
        return data


class Side(Protocol):
    """One end of the proxy.

    :ivar other: the other end; what comes before it is there waits.
    """

    other: "Side | None" = None

    def __init__(self, direction: Direction, ready: Callable[["Side"], None]) -> None:
        self.direction = direction
        self.ready = ready
        self.waiting = b""

    def connectionMade(self) -> None:
        self.ready(self)

    def join(self, other: "Side") -> None:
        self.other = other
        self.dataReceived(b"")

    def dataReceived(self, data: bytes) -> None:
        self.waiting += data
        if self.other is not None and self.waiting:
            data, self.waiting = self.waiting, b""
            passed = self.direction.feed(data)
            if passed:
                self.other.transport.write(passed)

    def connectionLost(self, reason: object = None) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()


class TerrapinTests(FrontDoorCase):
    """OpenSSH's ssh, strict as Debian 12 has it, behind the proxy."""

    limits = Limits(login_seconds=5, kex_seconds=5)

    def setUp(self) -> None:
        super().setUp()
        self.patch(exchange, "steer", lambda ours, client: ours)  # every cipher is on offer

    async def through(self, cipher: str, attack: tuple[str, ...]) -> tuple[Knocker, set[str]]:
        """Log in behind a proxy; give ssh and what the proxy did."""
        toward, what = (attack[0], attack[1:]) if attack else ("", ())
        to_server = Direction(what if toward == TO_SERVER else ())
        to_client = Direction(what if toward == TO_CLIENT else ())

        def connected(client: Side) -> None:
            def ready(server: Side) -> None:
                server.join(client)
                client.join(server)

            TCP4ClientEndpoint(reactor, "127.0.0.1", self.port).connect(
                Factory.forProtocol(lambda: Side(to_client, ready))
            )

        factory = Factory.forProtocol(lambda: Side(to_server, connected))
        proxy = reactor.listenTCP(0, factory, interface="127.0.0.1")
        port = proxy.getHost().port
        known = self.folder / f"known-{port}"
        public = HOST_KEY.public().toString("OPENSSH").decode()
        known.write_text(f"[127.0.0.1]:{port} {public}\n")
        options = ("StrictHostKeyChecking=yes", "BatchMode=yes", "IdentitiesOnly=yes")
        process = await self.run_program(
            [
                "ssh", "-F", "none", "-p", port, "-c", cipher, "-i", self.key_file,
                "-o", f"UserKnownHostsFile={known}", *(f"-o{option}" for option in options),
                "alice@127.0.0.1", "ls",
            ]
        )  # fmt: skip
        await proxy.stopListening()
        return process, to_server.done | to_client.done

    async def test_every_cipher(self) -> None:
        """Left alone ssh logs in; whatever the proxy does, it never gets as far."""
        for attacks in ([()], ATTACKS):
            cases = [(cipher.decode(), attack) for cipher in CIPHERS for attack in attacks]
            tried = await gatherResults([ensureDeferred(self.through(*case)) for case in cases])
            for (cipher, attack), (process, done) in zip(cases, tried, strict=True):
                case = (cipher, attack, done, bytes(process.errors))
                self.assertEqual(bool(done), bool(attack), case)
                self.assertEqual(process.status, 255 if attack else 0, case)
                self.assertEqual(b"Ready" in process.out, not attack, case)
            self.assertEqual(len(self.pod.access.sessions), len(CIPHERS))
