"""Much of everything: 5,000 open idle channels over one link, and 100,000 objects of each kind.

    python -m benchmarks.scale                       # both; filling takes half a minute
    python -m benchmarks.scale --figures objects

Memory is that of the pod, CPU what the pod takes while nothing happens.  With many policies, users
and tunnels the time to open a channel and hear an echo is compared with that of a pod that has few,
in turns.
"""

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.processes import HOST, PYTHON, cpu_seconds, resident_kib
from tests.campaigns.ssh_streams import log_in, open_stream
from tests.integration.processes import Process, free_port
from tests.integration.worlds import World
from tunnelcloud.domain.entities import Method, new_id
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.pod.user_shares import CHANNELS
from tunnelcloud.store import schema, sites
from tunnelcloud.store.engine import Store, open_store
from tunnelcloud.store.transaction import Transaction

FEW, MANY = 100, 100_000
PORTS = 6
A_SESSION = 250
_STEP = 10_000


# 5,000 idle channels.


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
    writer.close()


async def be_target(ports: "list[int]") -> None:
    servers = [await asyncio.start_server(_echo, HOST, port, backlog=1024) for port in ports]
    print("listening", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


class Echo:
    """A stream, and what it last heard."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def take(self, data: bytes) -> None:
        self.heard.set()


async def open_echo(connection: Any, port: int) -> Any:
    """Open a channel, say a byte and hear it again."""
    echo = Echo()
    stream = await open_stream(connection, "echo", port, echo.take)
    stream.channel.write(b"x")
    await echo.heard.wait()
    return stream


async def look(pid: int, seconds: float) -> float:
    """Give which part of a processor a pod takes while nothing happens."""
    before = cpu_seconds([pid])
    await asyncio.sleep(seconds)
    return (cpu_seconds([pid]) - before) / seconds


async def idle(world: Any, ports: "list[int]", channels: int, seconds: float) -> None:
    pid = world.gateway.process.process.pid
    connections = [await log_in(world) for _ in range(-(-channels // A_SESSION))]
    # The first of everything makes caches, not channels.
    streams: list[Any] = [await open_echo(connection, ports[0]) for connection in connections]
    memory, cpu = resident_kib(pid), await look(pid, seconds)
    first = len(streams)
    print(f"{first:5} channels: {memory / 1024:.0f} MiB, {cpu * 100:.1f} % of a processor")
    began = time.monotonic()
    for start in range(first, channels, 50):
        opening = [
            open_echo(connections[number % len(connections)], ports[number % len(ports)])
            for number in range(start, min(start + 50, channels))
        ]
        streams += await asyncio.gather(*opening)
    took = time.monotonic() - began
    grown, later = resident_kib(pid) - memory, await look(pid, seconds)
    print(
        f"{channels:5} channels: {(memory + grown) / 1024:.0f} MiB, {later * 100:.1f} % of a "
        f"processor; {grown / (channels - first):.1f} KiB a channel (at most 16), opened in "
        f"{took:.0f} s",
        flush=True,
    )
    for connection in connections:
        connection.abort()


# 100,000 objects.


def _insert(store: Store, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    def work(transaction: Transaction, batch: list[dict[str, Any]]) -> None:
        transaction.connection.execute(table.insert(), batch)

    kept = list(rows)
    for start in range(0, len(kept), _STEP):
        store.write(work, kept[start : start + _STEP])


def fill(state: Path, count: int) -> None:
    """Add so many policies, users, tunnels, and assignments that join them."""
    store = open_store("sqlite", state)
    site = store.read(sites.SITES.find, "paris").id
    now = datetime.now(UTC)
    made = {
        kind: [new_id(kind, 1_700_000_000_000 + number, os.urandom) for number in range(count)]
        for kind in ("policy", "user", "tunnel", "assignment")
    }
    _insert(store, schema.policies, ({
        "id": one, "created_at": now, "name": f"policy{number:06}", "title": "",
        "source_networks": ("127.0.0.0/8",), "windows": (),
    } for number, one in enumerate(made["policy"])))  # fmt: skip
    _insert(store, schema.users, ({
        "id": one, "created_at": now, "name": f"user{number:06}", "title": "", "role": Role.USER,
        "service": False, "blocked": False,
    } for number, one in enumerate(made["user"])))  # fmt: skip
    _insert(store, schema.user_names, (
        {"name": f"user{number:06}", "user_id": one} for number, one in enumerate(made["user"])
    ))  # fmt: skip
    _insert(store, schema.tunnels, ({
        "id": one, "created_at": now, "name": f"tunnel{number:06}", "title": "", "site_id": site,
        "target_address": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
        "target_ports": (PortRange(5432, 5432),), "local_port_offset": 0,
        "external_address": None, "enabled": True, "icon": "", "description": "",
    } for number, one in enumerate(made["tunnel"])))  # fmt: skip
    _insert(store, schema.assignments, ({
        "id": made["assignment"][number], "created_at": now, "tunnel_id": made["tunnel"][number],
        "user_id": made["user"][number], "group_id": None, "methods": frozenset(Method),
        "policy_id": made["policy"][number],
    } for number in range(count)))  # fmt: skip
    store.close()


async def open_ms(world: Any, port: int, count: int) -> float:
    """Median milliseconds to open a channel, with an echo through it."""
    connection = await log_in(world)
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        stream = await open_echo(connection, port)
        taken.append(time.perf_counter() - began)
        stream.channel.abort()
        await stream.closed.wait()
    connection.abort()
    return statistics.median(taken) * 1000


def objects(stack: ExitStack, port: int, runs: int) -> None:
    worlds: list[Any] = []
    for count in (FEW, MANY):
        world: Any = World()
        stack.callback(world.close)
        world.tunnel("echo", HOST, port, assign=False)
        world.do("policy", "create", "local", "--source", "127.0.0.0/8")
        world.do("assign", "echo", "--user", "alice", "--method", "key", "--policy", "local")
        world.gateway.process.stop()
        fill(world.gateway.state, count)
        world.gateway.start()
        worlds.append(world)
        while world.ask("connectors")[0]["load"] is None:
            time.sleep(0.2)
    found: list[list[float]] = [[], []]
    for _ in range(runs):
        for world, figures in zip(worlds, found, strict=True):
            figures.append(asyncio.run(open_ms(world, port, 100)))
    few, many = (statistics.median(figures) for figures in found)
    print(
        f"a channel opens in {few:.2f} ms with {FEW} policies, users and tunnels, in {many:.2f} ms "
        f"with {MANY:,}: {many / few:.2f}x (at most 1.3x)",
        flush=True,
    )


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figures", nargs="*", default=["idle", "objects"])
    parser.add_argument("--channels", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=10, help="of a look at the idle CPU")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--target", type=int, nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.target:
        asyncio.run(be_target(options.target))
    ports = [free_port() for _ in range(PORTS)]
    with ExitStack() as stack:
        target = Process([PYTHON, "-m", "benchmarks.scale", "--target", *ports])
        stack.callback(target.kill)
        target.wait_for("listening")
        if "idle" in options.figures:
            world: Any = World(f"[shares]\nchannels = {CHANNELS}\nper_target = {CHANNELS}")
            stack.callback(world.close)
            world.tunnel("echo", HOST, *ports)
            asyncio.run(idle(world, ports, options.channels, options.seconds))
        if "objects" in options.figures:
            objects(stack, ports[0], options.runs)


if __name__ == "__main__":
    main()
