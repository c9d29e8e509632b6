"""What links cost a pod: 500 real connectors with two links to each of two pods on one PostgreSQL.

    python -m benchmarks.links                      # memory and CPU at rest, then a pod's restart
    python -m benchmarks.links --connectors 100     # a short form

Connectors are the program's own services, with keys, certificates and links of their own.  They run
in one process, since 500 processes would take 20 GB, and each dials from an address of its own, as
connectors of 500 sites do.  Pods, connectors, database and logins share the machine.
"""

import argparse
import asyncio
import contextlib
import random
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from attrs import frozen

from benchmarks.clients import percentile
from benchmarks.pods import REFUSED, Crowd, api, say
from benchmarks.processes import cpu_seconds, resident_kib
from tests.integration.processes import PYTHON, Process
from tests.integration.test_pods import Pods

LINKS = 2
"""How many links a connector holds to a pod."""

JOINING_AT_ONCE = 20


def links_of(gateway) -> int:
    """Ask a pod how many links it has; none while it doesn't answer."""
    with contextlib.suppress(OSError):
        found = re.search(r"(?m)^tunnelcloud_links (\S+)$", gateway.get("/metrics"))
        return int(float(found[1])) if found else 0
    return 0


def wait_for_links(gateway, count, seconds):
    """Wait until a pod has so many links; give how long that took, None if it didn't come."""
    began = time.perf_counter()
    while links_of(gateway) < count:
        if time.perf_counter() - began > seconds:
            return None
        time.sleep(0.25)
    return time.perf_counter() - began


def settled(pid, seconds):
    """Give a pod's memory, in KiB, after it was left alone for some time."""
    time.sleep(seconds)
    return resident_kib(pid)


class Site:
    """Many connectors of one site, in one process."""

    def __init__(self, pods, count):
        self.pods, self.count = pods, count
        site = api(pods, 0, "GET", "/sites")["items"][0]["id"]
        tokens = pods.directory / "tokens"
        with tokens.open("w") as file:
            for number in range(count):
                wanted = {"name": f"many-{number}", "site_id": site}
                made = api(pods, 0, "POST", "/connectors", wanted)
                file.write(made["join"]["token"] + "\n")
        self.process = Process([PYTHON, "-m", "benchmarks.links", "--hold", tokens])

    def wait(self, gateway, seconds=600):
        """Wait until all are attached, beside the one that the pods came with."""
        return wait_for_links(gateway, LINKS * (self.count + 1), seconds)


def at_rest(pods, options):
    """Compare a pod with its links to the same one without."""
    gateway = pods.gateways[0]
    gateway.process.stop()
    gateway.start()
    pid = gateway.process.process.pid
    without = settled(pid, options.rest)
    before = cpu_seconds([pid])
    time.sleep(options.rest)
    idle_without = (cpu_seconds([pid]) - before) / options.rest
    site = Site(pods, options.connectors)
    if any(site.wait(one) is None for one in pods.gateways):
        raise SystemExit("not all connectors are attached")
    for name in ("after joining", "after the pod's restart"):
        if name != "after joining":
            gateway.process.stop()
            gateway.start()
            pid = gateway.process.process.pid
            if site.wait(gateway) is None:
                raise SystemExit("not all connectors are attached")
        held = settled(pid, options.rest)
        before = cpu_seconds([pid])
        time.sleep(options.rest)
        idle = (cpu_seconds([pid]) - before) / options.rest
        links = LINKS * options.connectors
        say(
            f"at rest, {name}",
            links=links,
            kib_a_link=round((held - without) / links, 1),
            cpu_percent=round(100 * idle, 2),
            without_links=round(100 * idle_without, 2),
        )
    return site


async def storm(pods, site, options):
    """Kill a pod, start it again, and log in there while all connectors come back."""
    gateway = pods.gateways[0]
    crowd = await asyncio.to_thread(Crowd, pods, 10)
    await asyncio.to_thread(gateway.process.kill)
    killed = time.perf_counter()
    await asyncio.to_thread(gateway.start)
    began = time.perf_counter()
    waiting = asyncio.create_task(asyncio.to_thread(site.wait, gateway, 120))
    logins, refusals, number = {0: [], 1: []}, {}, 0

    async def log_in(pod, user):
        started = time.perf_counter()
        try:
            connection = await crowd.log_in(user, pod)
        except REFUSED as error:
            refusals[str(error)[:80]] = refusals.get(str(error)[:80], 0) + 1
        else:
            connection.abort()
        logins[pod].append(time.perf_counter() - started)

    while not waiting.done():
        user = crowd.users[number % len(crowd.users)]
        await asyncio.gather(log_in(0, user), log_in(1, user))
        number += 1
        await asyncio.sleep(0.05)
    back = await waiting
    figures = {
        f"login_{name}_{which}": round(value, 3)
        for pod, which in ((0, "there"), (1, "other_pod"))
        for name, value in (
            ("p50", percentile(logins[pod], 0.5)),
            ("p99", percentile(logins[pod], 0.99)),
            ("worst", max(logins[pod])),
        )
    }
    say("storm", connectors=site.count, links=LINKS * site.count, start=round(began - killed, 1),
        all_back=back and round(back, 1), logins=number, refusals=refusals, **figures)  # fmt: skip


def hold(tokens: Path) -> None:
    """Run a connector for each token of a file, until the process is ended."""
    from twisted.internet import reactor
    from twisted.internet.defer import DeferredSemaphore
    from twisted.internet.endpoints import TCP4ClientEndpoint
    from twisted.internet.task import LoopingCall
    from twisted.logger import LogPublisher, globalLogBeginner

    from tunnelcloud import daemon
    from tunnelcloud.connector.allowed_targets import parse_access_list
    from tunnelcloud.connector.outgoing import Outgoing
    from tunnelcloud.connector.service import ConnectorService
    from tunnelcloud.connector.state import ConnectorState
    from tunnelcloud.domain.join_tokens import parse_join_token

    @frozen
    class OwnAddress(Outgoing):
        """The way out of a machine that has one address."""

        source: str = ""

        def connect(self, pod, factory):
            bound = {"bindAddress": (self.source, 0)}
            return TCP4ClientEndpoint(self.reactor, pod.host, pod.port, **bound).connect(factory)

    globalLogBeginner.beginLoggingTo([LogPublisher()], redirectStandardIO=False)
    daemon.outlive_hangup = lambda reactor, hear: None
    daemon.tell_ready = lambda reactor: None
    room = DeferredSemaphore(JOINING_AT_ONCE)
    services = []

    def begin(number, token):
        source = f"127.{1 + number // 250}.{1 + number % 250}.1"
        service = ConnectorService(
            reactor,
            ConnectorState(tokens.parent / "many" / str(number)),
            parse_join_token(token),
            parse_access_list((), ()),
            version="0",
            now=lambda: datetime.now(UTC),
            random=random.SystemRandom().random,
            give_up=lambda why: print(why, file=sys.stderr, flush=True),
            outgoing=OwnAddress(reactor, source=source),
        )
        services.append(service)
        service.startService()
        joined = LoopingCall(lambda: service.links and joined.stop())
        return joined.start(0.1)

    for number, token in enumerate(tokens.read_text().split()):
        room.run(begin, number, token)
    reactor.run()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--connectors", type=int, default=500)
    parser.add_argument("--rest", type=float, default=30, help="seconds without anything to do")
    parser.add_argument("--hold", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        hold(options.hold)
        return
    with contextlib.closing(Pods(2)) as pods:
        site = at_rest(pods, options)
        try:
            asyncio.run(storm(pods, site, options))
        finally:
            site.process.kill()


if __name__ == "__main__":
    main()
