"""What somebody's echo of 64 bytes takes while others make the pod work.

    python -m benchmarks.bystander                      # everything, one after the other
    python -m benchmarks.bystander --loads idle lists

One user has 5,000 tunnels; others hold 5,000 channels that policies may end by the clock.  Each
load comes from processes of its own; the bystander's client is an ``ssh -L``.
"""

import argparse
import asyncio
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import frozen

from benchmarks import load
from benchmarks.processes import HOST, PYTHON, cpu_seconds
from benchmarks.scale import PORTS, fill, open_echo
from tests.campaigns.ssh_streams import log_in
from tests.integration.processes import Client, Keys, Process, free_port
from tests.integration.worlds import World
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.domain.tokens import hash_secret
from tunnelcloud.store import policies, schema, users, web_sessions
from tunnelcloud.store.engine import open_store
from tunnelcloud.store.transaction import Transaction

COOKIE = "b" * 43
HOLDERS = 49
TUNNELS = 5000
CHANNELS = 4900
"""A pod has 5,000; the bystander needs one as well."""

TABLES = ("users", "tunnels", "audit", "policies")
PAGES = ("/", "/sessions", "/admin/users", "/admin/tunnels")
"""What is read of the API, 200 rows at a time, and of the portal."""

Call = Callable[[http.client.HTTPConnection, int], None]


# What makes the pod work: each runs in a process of its own until that is ended.


def at_a_rate(each_second: float, work: Callable[[int], object], threads: int) -> None:
    """Do something so often a second, in some threads."""

    def run(first: int) -> None:
        began = time.monotonic()
        for number in range(first, 10**9, threads):
            time.sleep(max(0.0, began + number / each_second - time.monotonic()))
            work(number)

    load.together([threading.Thread(target=run, args=(first,)) for first in range(threads)])


class Pod:
    """Asks a pod's API, a connection a thread."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._local = threading.local()

    def ask(self, method: str, path: str, body: object = None, cookie: bool = False) -> bytes:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(HOST, self._port, timeout=120)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        if cookie:
            headers = {"Cookie": f"tunnelcloud={COOKIE}"}
        data = None if body is None else json.dumps(body)
        prefix = "" if cookie else "/api/v1"
        self._local.connection.request(method, prefix + path, data, headers)
        answer = self._local.connection.getresponse()
        text: bytes = answer.read()
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
        return text


def reads_and_writes(pod: Pod) -> None:
    """40 lists of 200 rows, 20 portal pages and 50 writes a second."""
    [one, *_] = json.loads(pod.ask("GET", "/users?limit=5"))["items"]
    chance = random.Random(1)

    def read(number: int) -> None:
        pod.ask("GET", f"/{TABLES[number % len(TABLES)]}?limit=200")

    def page(number: int) -> None:
        pod.ask("GET", PAGES[number % len(PAGES)], cookie=True)

    def write(number: int) -> None:
        pod.ask("PATCH", f"/users/{one['id']}", {"title": f"title {chance.random()}"})

    load.together([
        threading.Thread(target=at_a_rate, args=(each, work, 4))
        for each, work in ((40, read), (20, page), (50, write))
    ])  # fmt: skip


def exports(pod: Pod) -> None:
    """One export after the other."""
    while True:
        pod.ask("GET", "/export")


def searches(pod: Pod) -> None:
    """Searches of the audit that find nothing, one after the other."""
    while True:
        pod.ask("GET", f"/audit?q=nothing-{random.random()}")


def applies(pod: Pod) -> None:
    """One document of 16,000 new users after the other."""
    for turn in range(10**6):
        people = {f"n{turn}-{number}": {"title": "new"} for number in range(16_000)}
        pod.ask("POST", "/apply", {"users": people})


WORK: "dict[str, Callable[[Pod], None]]" = {
    "requests": reads_and_writes,
    "exports": exports,
    "searches": searches,
    "applies": applies,
}


async def hold(port: int, keys: Path, ports: "list[int]") -> None:
    """Hold channels of several users until this process is ended."""
    world: Any = type("World", (), {})()
    world.gateway = type("Gateway", (), {"ssh_port": port})()
    connections = []
    for number in range(HOLDERS):
        name = f"h{number}"
        world.key = type("Key", (), {"path": keys / name})()
        connections.append(await log_in(world, login=name))
    streams = []
    for number in range(0, CHANNELS, 20):
        streams += await asyncio.gather(*(
            open_echo(connections[one % HOLDERS], ports[one % len(ports)])
            for one in range(number, min(number + 20, CHANNELS))
        ))  # fmt: skip
    print(f"held {len(streams)}", flush=True)
    await asyncio.sleep(10**6)


# What is measured.


def furnish(world: Any) -> None:
    """Give alice 5,000 tunnels, make the others, and let an administrator sign in."""
    world.gateway.process.stop()
    fill(world.gateway.state, TUNNELS)
    store = open_store("sqlite", world.gateway.state)
    now = datetime.now(UTC)

    def prepare(transaction: Transaction) -> None:
        alice = users.find(transaction, "alice")
        run = transaction.connection.execute
        one = schema.assignments.c
        echo = schema.tunnels.c.name == "echo"
        run(schema.assignments.update().where(one.policy_id.is_not(None)).values(user_id=alice.id))
        policy = policies.create(
            transaction, name="timed", valid_until=now.replace(year=now.year + 1), idle_seconds=3600
        )
        run(
            schema.assignments.update()
            .where(one.tunnel_id.in_(schema.tunnels.select().where(echo).with_only_columns(
                schema.tunnels.c.id)))
            .values(policy_id=policy.id)
        )  # fmt: skip
        admin = users.create(transaction, name="root-1", role=Role.ADMIN)
        web_sessions.create(
            transaction, user_id=admin.id, secret_hash=hash_secret(COOKIE),
            lifetime_seconds=10**6, method="password", source_ip=HOST, user_agent="benchmark",
        )  # fmt: skip

    store.write(prepare)
    store.close()
    world.gateway.start()


def people(world: Any) -> Any:
    """Make bob, who stands by, and those who hold channels; give bob's key."""
    names = ["bob", *(f"h{number}" for number in range(HOLDERS))]
    keys = {name: Keys(world.directory, name) for name in names}
    lines = [
        f'[users.{name}]\nkeys = [{{ title = "k", public_key = "{_public(keys[name])}" }}]'
        for name in names
    ]
    members = ", ".join(f'"{name}"' for name in names[1:])
    document = world.directory / "people.toml"
    document.write_text("\n".join([*lines, f"[groups.holders]\nmembers = [{members}]"]))
    world.do("apply", document)
    world.do("assign", "echo", "--group", "holders", "--method", "key")
    world.do("assign", "plain", "--user", "bob", "--method", "key")
    return keys["bob"]


def _public(keys: Any) -> str:
    kind, text, *_ = keys.public.read_text().split()
    return f"{kind} {text}"


@contextmanager
def lists(world: Any) -> Iterator[None]:
    """10 times a second ``ls`` of 5,000 tunnels, by clients that share a connection or three."""
    over = threading.Event()
    client = Client(world.directory, world.gateway)
    masters = []
    for number in range(3):
        path = world.directory / f"master{number}"
        words = client.arguments("alice", "-M", "-S", path, "-N", key=world.key)
        masters.append(Process(words, client.environment()))
        while not path.exists():
            time.sleep(0.05)
    taken: list[float] = []

    def one(number: int) -> None:
        began = time.monotonic()
        words = client.arguments("alice", "-S", world.directory / f"master{number % 3}")
        done = subprocess.run(
            [*map(str, words), "ls"], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        taken.append(time.monotonic() - began)
        if done.stdout.count(b"\n") < 2 * TUNNELS:
            print(done.stdout[-300:], done.stderr[-300:], file=sys.stderr)

    def run(first: int) -> None:
        began = time.monotonic()
        for number in range(first, 10**9, 10):
            if over.wait(max(0.0, began + number / 10 - time.monotonic())):
                return
            one(number)

    threads = [threading.Thread(target=run, args=(first,)) for first in range(10)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    yield
    rate = len(taken) / (time.monotonic() - began)
    over.set()
    for thread in threads:
        thread.join()
    print(f"    {rate:.1f} lists a second, {sorted(taken)[len(taken) // 2]:.1f} s each (median)")
    for master in masters:
        master.kill()


@contextmanager
def working(world: Any, name: str) -> Iterator[None]:
    """Have another process make the pod work."""
    token = world.gateway.admin_token
    process = Process([
        PYTHON, "-m", "benchmarks.bystander", "--work", name, world.gateway.web_port, token
    ])  # fmt: skip
    try:
        yield
        if process.process.poll() is not None:
            raise SystemExit("\n".join(process.rest()))
    finally:
        process.kill()


@frozen
class Waits:
    """Seconds that an echo took, and what the reactor's thread of the pod did meanwhile.

    :ivar ran: seconds for which that thread had a processor.
    :ivar queued: seconds for which it could have run, but other threads had the processors.
    :ivar queued_elsewhere: the same of the other programs on the way, together.
    """

    taken: float
    ran: float
    queued: float
    queued_elsewhere: float

    @property
    def unqueued(self) -> float:
        """What it would have taken with a processor for each program."""
        return max(0.0, self.taken - self.queued - self.queued_elsewhere)

    def __str__(self) -> str:
        taken, ran, queued, elsewhere = (
            round(one * 1000) for one in (self.taken, self.ran, self.queued, self.queued_elsewhere)
        )
        rest = max(0, taken - ran - queued - elsewhere)
        return (
            f"{taken} ms: the reactor ran for {ran}, waited for a processor for {queued}, the "
            f"other programs on the way for {elsewhere}; {rest} are left, for Python's lock or idle"
        )


def _scheduled(pid: int) -> tuple[float, float]:
    """Seconds that a process's first thread has run and has waited for a processor."""
    ran, queued, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(queued) / 1e9


def echoes(port: int, seconds: float, pod: int, others: list[int]) -> list[Waits]:
    """Give what each echo of 64 bytes took, one every 5 ms, the quickest first.

    :param pod: the process whose first thread is the reactor's.
    :param others: the other programs that the bytes go through.
    """
    taken = []
    message = bytes(64)
    with load.connect(port) as sock:
        sock.sendall(b"e")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ran, queued = _scheduled(pod)
            elsewhere = sum(_scheduled(one)[1] for one in others)
            began = time.perf_counter()
            sock.sendall(message)
            left = len(message)
            while left:
                left -= len(sock.recv(left))
            ended = time.perf_counter()
            now_ran, now_queued = _scheduled(pod)
            now_elsewhere = sum(_scheduled(one)[1] for one in others)
            taken.append(
                Waits(
                    ended - began,
                    max(0.0, now_ran - ran),
                    max(0.0, now_queued - queued),
                    max(0.0, now_elsewhere - elsewhere),
                )
            )
            time.sleep(0.005)
    return sorted(taken, key=lambda one: one.taken)


def report(world: Any, name: str, port: int, seconds: float, others: list[int]) -> None:
    pid = world.gateway.process.process.pid
    time.sleep(2)
    before = cpu_seconds([pid])
    taken = echoes(port, seconds, pid, others)
    cpu = (cpu_seconds([pid]) - before) / seconds
    median, p99, worst = (
        taken[place].taken * 1000 for place in (len(taken) // 2, len(taken) * 99 // 100, -1)
    )
    print(
        f"{name:10} median {median:6.2f} ms, p99 {p99:7.2f} ms, worst {worst:7.1f} ms, "
        f"{max(one.unqueued for one in taken) * 1000:.1f} without waits for a processor; the pod's "
        f"CPU {cpu * 100:.0f} %",
        flush=True,
    )
    for one in reversed(taken[-3:]):
        print(f"    {one}", flush=True)


def measure(stack: ExitStack, loads: "list[str]", seconds: float) -> None:
    plain, *ports = (free_port() for _ in range(PORTS + 1))
    for words in (["benchmarks.scale", "--target", *ports], ["benchmarks.load", plain]):
        target = Process([PYTHON, "-m", *words])
        stack.callback(target.kill)
    world: Any = World()
    stack.callback(world.close)
    world.tunnel("echo", HOST, *ports, assign=False)
    world.tunnel("plain", HOST, plain, assign=False)
    key = people(world)
    furnish(world)
    while world.ask("connectors")[0]["load"] is None:
        time.sleep(0.2)
    ssh, port = world.client.forward("bob", f"plain:{plain}", key=key)
    stack.callback(ssh.kill)
    others = [one.pid for one in (target.process, ssh.process, world.connector.process.process)] + [
        os.getpid()
    ]
    report(world, "idle", port, seconds, others)
    if "lists" in loads or "held" in loads:
        holder = Process([
            PYTHON, "-m", "benchmarks.bystander", "--hold", world.gateway.ssh_port,
            world.directory, *ports,
        ])  # fmt: skip
        stack.callback(holder.kill)
        holder.wait_for("held", 300)
        report(world, "held", port, seconds, others)
        if "lists" in loads:
            with lists(world):
                report(world, "lists", port, seconds, others)
    for name in WORK:
        if name in loads:
            with working(world, name):
                report(world, name, port, seconds, others)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--loads", nargs="*", default=["held", "lists", *WORK])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--hold", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.hold:
        port, keys, *ports = options.hold
        asyncio.run(hold(int(port), Path(keys), [int(one) for one in ports]))
    elif options.work:
        name, port, token = options.work
        WORK[name](Pod(int(port), token))
    else:
        with ExitStack() as stack:
            measure(stack, options.loads, options.seconds)


if __name__ == "__main__":
    main()
