"""A fuzz campaign against the SSH front door: mutated packets in every phase.

usage: python -m tests.campaigns.fuzz_ssh [--seed N] [--seconds S] [--sockets]

Without ``--sockets`` the wire is in memory: many inputs, and the same ones for the same seed.  With
it the front door listens on loopback and another process attacks it.  The campaign fails, saying
which input did it, when

- one input takes the front door more than 100 ms (with sockets: a turn of the reactor),
- an input ends in an exception that nothing named (a log line "ended by a fault"),
- a session is opened without its credential,
- memory grows with the number of inputs,
- a bystander's stream isn't byte-identical.
"""

import argparse
import contextlib
import gc
import os
import random
import struct
import sys
import time
from collections.abc import Callable

import psutil
from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import Clock, LoopingCall, react
from twisted.logger import LogLevel, globalLogBeginner, globalLogPublisher
from twisted.python.failure import Failure

from tests.ssh.client import ALL_CIPHERS, Client, Keys
from tests.ssh.fakes import USER_KEY, Pod
from tests.ssh.socket_client import PatientClient
from tunnelcloud.channels.messages import DirectTcpip, pack_string
from tunnelcloud.pki.public_keys import USER_KEY_TYPES

LONGEST_TURN = 0.1
MOST_GROWTH = 24 * 1024 * 1024
_LENGTHS = (0, 1, 3, 4, 5, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 5, 2**32 - 4, 2**32 - 1)


class CampaignFailed(Exception):
    """The front door did what it must not do."""


@define
class Report:
    """What a campaign tried."""

    inputs: int = 0
    slowest: float = 0.0
    growth: int = 0


def open_channel(kind: bytes, rest: bytes = b"") -> bytes:
    return b"\x5a" + pack_string(kind) + struct.pack(">III", 0, 1 << 20, 32768) + rest


def templates() -> list[bytes]:
    """Give a message of every kind, as a client would send it."""
    kexinit = b"\x14" + Keys().proposal().encode(bytes(16))
    login = b"\x32" + pack_string(b"alice") + pack_string(b"ssh-connection")
    blob = USER_KEY.blob()
    keys = [
        login
        + pack_string(b"publickey")
        + signed
        + pack_string(algorithm)
        + pack_string(blob)
        + (pack_string(pack_string(algorithm) + pack_string(bytes(64))) if signed == b"\1" else b"")
        for algorithm in USER_KEY_TYPES
        for signed in (b"\0", b"\1")
    ]
    size = struct.pack(">IIII", 80, 24, 0, 0)
    requests = (
        pack_string(b"pty-req") + b"\1" + pack_string(b"xterm") + size + pack_string(b""),
        pack_string(b"shell") + b"\1",
        pack_string(b"exec") + b"\1" + pack_string(b"doctor db --json"),
        pack_string(b"signal") + b"\0" + pack_string(b"INT"),
        pack_string(b"env") + b"\1" + pack_string(b"A") + pack_string(b"B"),
    )
    return [
        b"\x01" + struct.pack(">I", 11) + pack_string(b"bye") + pack_string(b""),
        b"\x02" + pack_string(bytes(50)),
        b"\x03" + struct.pack(">I", 3),
        b"\x04\1" + pack_string(b"debug") + pack_string(b""),
        b"\x05" + pack_string(b"ssh-userauth"),
        b"\x07" + struct.pack(">I", 1) + pack_string(b"a") + pack_string(b"b"),
        kexinit,
        b"\x15",
        b"\x1e" + pack_string(bytes(32)),
        b"\x1e" + pack_string(bytes(1216)),
        login + pack_string(b"none"),
        login + pack_string(b"password") + b"\0" + pack_string(b"wrong"),
        login + pack_string(b"keyboard-interactive") + bytes(8),
        b"\x3d" + struct.pack(">I", 1) + pack_string(b"wrong"),
        *keys,
        b"\x50" + pack_string(b"keepalive@openssh.com") + b"\1",
        b"\x50" + pack_string(b"tcpip-forward") + b"\1" + pack_string(b"") + bytes(4),
        b"\x51",
        b"\x52",
        open_channel(b"direct-tcpip", DirectTcpip(b"echo", 7, b"127.0.0.1", 1).encode()),
        open_channel(b"session"),
        open_channel(b"x11", pack_string(b"a") + bytes(4)),
        b"\x5b" + struct.pack(">IIII", 0, 0, 1 << 20, 32768),
        b"\x5c" + struct.pack(">II", 0, 1) + pack_string(b"no") + pack_string(b""),
        b"\x5d" + struct.pack(">II", 0, 1 << 20),
        b"\x5e" + struct.pack(">I", 0) + pack_string(bytes(1000)),
        b"\x5f" + struct.pack(">II", 0, 1) + pack_string(bytes(100)),
        *(bytes((number,)) + struct.pack(">I", 0) for number in (96, 97, 99, 100)),
        *(b"\x62" + struct.pack(">I", 0) + request for request in requests),
    ]


class Mutator:
    """Changes messages; the same seed gives the same changes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.templates = templates()

    def message(self) -> bytes:
        """Give a message that is nearly right, mostly."""
        message = bytearray(self.chance.choice(self.templates))
        for _ in range(self.chance.choice((0, 0, 1, 1, 1, 2, 5))):
            self.chance.choice(
                (self._flip, self._cut, self._extend, self._length, self._number, self._splice)
            )(message)
        return bytes(message) or b"\0"

    def wire(self, packet: bytes) -> bytes:
        """Change a sealed packet's bytes, seldom."""
        if self.chance.random() < 0.9:
            return packet
        changed = bytearray(packet)
        self.chance.choice((self._flip, self._cut, self._extend, self._length))(changed)
        return bytes(changed)

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)

    def _cut(self, data: bytearray) -> None:
        if data:
            del data[self.chance.randrange(len(data)) :]

    def _extend(self, data: bytearray) -> None:
        data += self.chance.randbytes(self.chance.choice((1, 4, 100, 5000)))

    def _length(self, data: bytearray) -> None:
        if len(data) >= 5:
            place = self.chance.randrange(1, len(data) - 3)
            data[place : place + 4] = struct.pack(">I", self.chance.choice(_LENGTHS))

    def _number(self, data: bytearray) -> None:
        if data:
            data[0] = self.chance.randrange(256)

    def _splice(self, data: bytearray) -> None:
        other = self.chance.choice(self.templates)
        data[self.chance.randrange(len(data) + 1) :] = other[self.chance.randrange(len(other)) :]


def reach(client: Client, phase: int) -> bool:
    """Bring a client to one of the phases; return whether it has logged in."""
    steps: list[Callable[[], object]] = [
        client.identify,
        client.send_kexinit,
        lambda: (client.take_kexinit(), client.send_kex()),
        lambda: (client.expect(21), client.write(client.newkeys())),
        client.request_login,
        lambda: (client.send_key(), client.expect(52)),
        client.send_kexinit,
        lambda: (client.take_kexinit(), client.send_kex()),
    ]
    for step in steps[:phase]:
        step()
    return phase >= 6


class InMemory:
    """One process, one seed, no sockets."""

    def __init__(self, seed: int) -> None:
        self.mutator = Mutator(random.Random(seed))
        self.report = Report()
        self.faults: list[str] = []
        self._renew()

    def run(self, seconds: float) -> Report:
        """Try inputs until the time is over."""
        process = psutil.Process()
        end = time.monotonic() + seconds
        warm = time.monotonic() + seconds / 2  # caches and the heap have their size by then
        base = 0
        globalLogPublisher.addObserver(self._observe)
        gc.disable()  # a full collection takes long, and is no input's fault
        attacks = 0
        try:
            while time.monotonic() < end:
                self._attack()
                attacks += 1
                if not attacks % 300:
                    gc.collect()
                if not base and time.monotonic() > warm:
                    base = self._memory(process)
            self._check_bystander()
        finally:
            gc.enable()
            globalLogPublisher.removeObserver(self._observe)
        self.report.growth = self._memory(process) - (base or self._memory(process))
        if self.report.growth > MOST_GROWTH:
            raise CampaignFailed(f"memory grew by {self.report.growth} bytes")
        return self.report

    def _memory(self, process: psutil.Process) -> int:
        self._renew()
        gc.collect()
        size: int = process.memory_info().rss
        return size

    def _renew(self) -> None:
        """Begin with a pod that remembers nothing."""
        self.clock = Clock()
        self.pod = Pod(self.clock, exempt=["0.0.0.0/0"])
        self.pod.access.tokens["bystander"] = "alice"
        self.bystander = Client(self.pod, clock=self.clock)
        self.bystander.secure().send_token("bystander")
        self.bystander.expect(52)
        self.bystander.send(open_channel(b"direct-tcpip", DirectTcpip(b"echo", 7, b"", 0).encode()))
        self.bystander.expect(91)
        self.logins = 1

    def _attack(self) -> None:
        chance = self.mutator.chance
        client = Client(self.pod, chance.choice(ALL_CIPHERS), clock=self.clock, peer="192.0.2.66")
        phase = chance.randrange(9)
        self.logins += reach(client, phase)
        sent: list[bytes] = []
        for _ in range(chance.randrange(1, 12)):
            if client.socket.disconnecting:
                break
            message = self.mutator.message()
            sent.append(message)
            packet = self.mutator.wire(client.seal(message) if phase else message)
            before = time.thread_time()
            client.write(packet)
            self.clock.advance(chance.choice((0, 0, 0, 0.3)))
            self._judge(time.thread_time() - before, phase, sent)
        client.lose()
        if self.report.inputs % 500 < 12:
            self._check_bystander()
        if len(self.pod.access.sessions) > 2000:
            self._renew()

    def _judge(self, took: float, phase: int, sent: list[bytes]) -> None:
        self.report.inputs += 1
        self.report.slowest = max(self.report.slowest, took)
        where = f"in phase {phase} after {[message.hex() for message in sent]}"
        if took > LONGEST_TURN:
            raise CampaignFailed(f"{took:.3f} s {where}")
        if self.faults:
            raise CampaignFailed(f"{self.faults} {where}")
        if len(self.pod.access.sessions) > self.logins:
            raise CampaignFailed(f"a session without a login {where}")

    def _check_bystander(self) -> None:
        payload = self.mutator.chance.randbytes(1000)
        message = b"\x5e" + struct.pack(">I", 0) + pack_string(payload)
        self.bystander.send(message)
        if message not in self.bystander.read():
            raise CampaignFailed("the bystander's bytes differ")

    def _observe(self, event: dict) -> None:
        if event["log_level"] >= LogLevel.error:
            failure = event.get("log_failure")
            self.faults.append(failure.getTraceback() if failure else event["log_format"])


def attack(port: int, seed: int, seconds: float) -> None:
    """Attack a front door on loopback; print how many inputs were tried."""
    mutator = Mutator(random.Random(seed))
    inputs = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        client = PatientClient(port, mutator.chance.choice(ALL_CIPHERS))
        phase = mutator.chance.randrange(9)
        with contextlib.suppress(AssertionError, OSError):
            reach(client, phase)
            for _ in range(mutator.chance.randrange(1, 12)):
                message = mutator.message()
                client.write(mutator.wire(client.seal(message) if phase else message))
                inputs += 1
        client.lose()
    sys.stdout.write(f"{inputs}\n")


class Child(ProcessProtocol):
    """The attacking process."""

    def __init__(self) -> None:
        self.out = b""
        self.errors = b""
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.out += data

    def errReceived(self, data: bytes) -> None:
        self.errors += data

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


def stand_by(port: int, seconds: float) -> None:
    """Move data all the while, over one connection; print how many bytes came back the same."""
    client = PatientClient(port)
    reach(client, 5)
    client.send_token("bystander")
    client.expect(52)
    client.send(open_channel(b"direct-tcpip", DirectTcpip(b"echo", 7, b"", 0).encode()))
    client.expect(91)
    same = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        payload = os.urandom(1000)
        message = b"\x5e" + struct.pack(">I", 0) + pack_string(payload)
        client.send(message)
        while (received := client.expect_any())[0] != message[0]:
            if received[0] == 1:
                raise CampaignFailed(f"the bystander was disconnected: {received!r}")
        if received != message:
            raise CampaignFailed("the bystander's bytes differ")
        client.send(b"\x5d" + struct.pack(">II", 0, len(payload)))
        same += len(payload)
    sys.stdout.write(f"{same}\n")


async def over_sockets(seed: int, seconds: float) -> Report:
    """Listen on loopback while other processes attack, and stand by."""
    pod = Pod(reactor, exempt=["127.0.0.0/8"])
    pod.access.tokens["bystander"] = "alice"
    port = reactor.listenTCP(0, pod.factory, interface="127.0.0.1", backlog=500)
    report = Report()
    memory = psutil.Process().memory_info
    base = 0
    warm = time.monotonic() + seconds / 2  # caches and the heap have their size by then
    last = time.process_time()

    def turn() -> None:
        # Processor time, so that a busy machine isn't taken for a slow turn.
        nonlocal last, base
        now = time.process_time()
        report.slowest = max(report.slowest, now - last)
        last = now
        if not base and time.monotonic() > warm:
            base = memory().rss

    turns = LoopingCall(turn)
    turns.start(0.01)
    children = []
    for role in ("--attack", "--bystander"):
        child = Child()
        words = [sys.executable, "-m", "tests.campaigns.fuzz_ssh", role]
        words += [str(port.getHost().port), "--seed", str(seed), "--seconds", str(seconds)]
        reactor.spawnProcess(child, sys.executable, words, env=None)
        children.append(child)
    for child in children:
        await child.ended
    turns.stop()
    await port.stopListening()
    for child in children:
        if not child.out.strip().isdigit():
            raise CampaignFailed(child.errors.decode(errors="replace"))
    report.inputs = int(children[0].out)
    report.growth = memory().rss - (base or memory().rss)
    if report.slowest > LONGEST_TURN:
        raise CampaignFailed(f"a turn of the reactor took {report.slowest:.3f} s")
    if report.growth > MOST_GROWTH:
        raise CampaignFailed(f"memory grew by {report.growth} bytes")
    return report


def main() -> None:
    """Run one campaign and say what it tried."""
    parser = argparse.ArgumentParser(description="fuzz the SSH front door")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--sockets", action="store_true")
    parser.add_argument("--attack", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--bystander", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    # Until logging begins Twisted keeps every event, and the connection it is about.
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)
    if options.attack:
        attack(options.attack, options.seed, options.seconds)
    elif options.bystander:
        stand_by(options.bystander, options.seconds)
    elif options.sockets:

        def show(report: Report) -> None:
            sys.stdout.write(f"{report}\n")

        react(
            lambda _: Deferred.fromCoroutine(
                over_sockets(options.seed, options.seconds)
            ).addCallback(show)
        )
    else:
        sys.stdout.write(f"{InMemory(options.seed).run(options.seconds)}\n")


if __name__ == "__main__":
    main()
