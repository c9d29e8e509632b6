"""Many audit events to a syslog server over TLS and a webhook, both of which are down for a while.

Says what was lost, what came twice, whether the order was kept, and how the sender's memory went.
Events are handed over as the store hands them over, in small transactions, by a thread of their
own; the store itself isn't part of it. The receivers go down in order: they read what has reached
their system, and let nobody in until they are back.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor, ssl
from twisted.internet.protocol import Factory, Protocol
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.pod.certificates import write_certificate
from tunnelcloud.domain.events import AuditEvent, AuditRecord
from tunnelcloud.private_files import write_atomically
from tunnelcloud.settings import AuditSettings
from tunnelcloud.settings.notify import NotifySettings
from tunnelcloud.sinks.sinks import make_sinks

TOGETHER = 8
"""Events of one transaction."""


class Count:
    """Follows the numbers of events that arrive."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.next = self.twice = self.missing = self.batches = 0

    def take(self, line: bytes) -> None:
        number = int(json.loads(line)["session_id"])
        if number < self.next:
            self.twice += 1
            return
        self.missing += number - self.next
        self.next = number + 1

    def __str__(self) -> str:
        return f"{self.name}: {self.next:,} arrived, {self.missing} missing, {self.twice} twice"


class Syslog(Protocol):
    """Reads messages with their lengths before them (RFC 6587, 3.4.1)."""

    factory: Any
    _data = b""

    def connectionMade(self) -> None:
        self.factory.open.add(self)

    def connectionLost(self, reason: Any = None) -> None:
        self.factory.open.discard(self)

    def dataReceived(self, data: bytes) -> None:
        data, at = self._data + data, 0
        while (space := data.find(b" ", at, at + 8)) > 0:
            end = space + 1 + int(data[at:space])
            if end > len(data):
                break
            self.factory.count.take(data[data.index(b" - {", space) + 3 : end])
            at = end
        self._data = data[at:]


class SyslogServer(Factory):
    protocol = Syslog

    def __init__(self, count: Count) -> None:
        self.count = count
        self.open: set[Syslog] = set()


class Webhook(Resource):
    isLeaf = True

    def __init__(self, count: Count) -> None:
        super().__init__()
        self.count = count

    def render_POST(self, request: Any) -> bytes:
        for line in request.content.read().splitlines():
            self.count.take(line)
        return b""


class Receivers:
    """Both servers, which go down and come back on the same ports."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.counts = (Count("syslog"), Count("webhook"))
        self._syslog, self._hook = SyslogServer(self.counts[0]), Site(Webhook(self.counts[1]))
        self._hook.log = lambda request: None
        self._context = ssl.DefaultOpenSSLContextFactory(str(key), str(certificate))
        self.ports = [0, 0]
        self.come()

    def come(self) -> None:
        syslog, hook = self.ports
        self._listening = [
            reactor.listenSSL(syslog, self._syslog, self._context, interface="127.0.0.1"),
            reactor.listenTCP(hook, self._hook, interface="127.0.0.1"),
        ]
        self.ports = [one.getHost().port for one in self._listening]

    def go(self) -> None:
        for one in self._listening:
            one.stopListening()
        for one in self._syslog.open:
            one.transport.loseConnection()


def send(settings: AuditSettings, directory: Path, events: int, rate: int) -> None:
    """Be the sender: hand events over, and print each second how it fares."""
    sinks = make_sinks(settings, NotifySettings(), directory)

    def feed() -> None:
        began = time.monotonic()
        for first in range(0, events, TOGETHER):
            numbers = range(first, min(first + TOGETHER, events))
            sinks.add([_record(number) for number in numbers])
            ahead = first / rate - (time.monotonic() - began)
            if ahead > 0.02:
                time.sleep(ahead)

    def tell() -> None:
        reports = [
            (one.name, one.delivered, one.waiting_bytes, one.dropped, one.failures)
            for one in sinks.reports()
        ]
        print(json.dumps({"rss": _resident(), "sinks": reports}), flush=True)
        if all(one[1] >= events for one in reports):
            sinks.stop()
            reactor.callLater(0.5, reactor.stop)
            return
        reactor.callLater(1.0, tell)

    def start() -> None:
        sinks.start(reactor)
        threading.Thread(target=feed, daemon=True).start()
        tell()

    reactor.callWhenRunning(start)
    reactor.run()


def _record(number: int) -> AuditRecord:
    event = AuditEvent(
        "channel.closed",
        actor="alice",
        actor_id="usr_alice",
        user_id="usr_alice",
        user_name="alice",
        tunnel_id="tun_db",
        tunnel_name="db",
        session_id=str(number),
        source_ip="192.0.2.7",
        pod_id="pod_1",
        data={"destination": "10.0.0.5", "port": 5432, "bytes_to_target": number},
    )
    return AuditRecord(f"evt_{number}", datetime.now(UTC), event)


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def measure(events: int, rate: int, down: float) -> None:
    """Run receivers here and the sender in a process of its own, and print what came of it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        certificate, key, secret = (directory / one for one in ("cert.pem", "key.pem", "secret"))
        write_certificate(certificate, key)
        write_atomically(secret, b"a secret\n")
        receivers = Receivers(certificate, key)
        syslog, hook = receivers.ports
        settings = {
            "spool": "4GiB",
            "syslog": {
                "address": f"localhost:{syslog}",
                "ca": str(certificate),
            },
            "webhook": {
                "url": f"http://127.0.0.1:{hook}/",
                "secret_file": str(secret),
            },
        }
        told: list[dict[str, Any]] = []
        began = time.monotonic()
        words = [sys.executable, "-m", "benchmarks.audit_sinks", "--events", str(events)]
        words += ["--rate", str(rate), "--sender", str(directory)]
        (directory / "settings.json").write_text(json.dumps(settings))
        child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        reactor.callInThread(_follow, child, told, lambda: reactor.callFromThread(reactor.stop))
        reactor.callLater(events / rate * 0.25, receivers.go)
        reactor.callLater(events / rate * 0.25 + down, receivers.come)
        try:
            reactor.run()
        finally:
            child.terminate()
            child.wait()
    if not told:
        raise SystemExit("the sender ended before it told anything: it says above why")
    took = time.monotonic() - began
    print(f"{events:,} events at {rate:,} a second, both receivers down for {down:.0f} s")
    print(f"all was delivered after {took:.0f} s")
    for one in receivers.counts:
        print(one)
    for at, (kind, *_) in enumerate(told[-1]["sinks"]):
        most = max(one["sinks"][at][2] for one in told)
        _, _, _, dropped, failures = told[-1]["sinks"][at]
        print(
            f"{kind}: at most {most >> 20} MiB waited; {dropped} dropped, {failures} tries failed"
        )
    resident = [one["rss"] / (1 << 20) for one in told[5:] or told]
    quarters = [resident[len(resident) * part // 4] for part in range(4)]
    shown = ", ".join(f"{one:.0f}" for one in quarters)
    print(f"the sender's memory: {shown}, {resident[-1]:.0f} MiB; at most {max(resident):.0f}")


def _follow(child: subprocess.Popen[str], told: list[Any], over: Callable[[], None]) -> None:
    assert child.stdout is not None
    told.extend(json.loads(line) for line in child.stdout if line.startswith("{"))
    over()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--down", type=float, default=600.0, help="seconds")
    parser.add_argument("--sender", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sender is not None:
        settings = json.loads((options.sender / "settings.json").read_text())
        audit = AuditSettings.model_validate_json(json.dumps(settings))
        send(audit, options.sender / "state", options.events, options.rate)
    else:
        measure(options.events, options.rate, options.down)


if __name__ == "__main__":
    main()
