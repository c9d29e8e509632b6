"""What held channels cost a pod, and how soon an approval opens one: a real pod, real processes.

    python -m benchmarks.held --channels 1000

The limits are 4 KiB a held channel, no CPU, and 300 ms from the approval to the first byte.  Of
channels that are being made, which held ones are, a pod has 1,024 at most.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
import urllib.request
from typing import Any

from benchmarks.processes import resident_kib
from benchmarks.scale import A_SESSION, look, open_echo
from tests.campaigns.ssh_streams import log_in
from tests.integration.processes import PATIENCE
from tests.integration.targets import EchoTarget
from tests.integration.worlds import World
from tunnelcloud.pod.shares import CHANNELS, PENDING


def make_world(port: int) -> tuple[Any, str]:
    """Make a pod whose tunnel ``echo`` needs the approval of bob; give his API token too."""
    world: Any = World(
        f"[shares]\nchannels = {CHANNELS}\nper_target = {CHANNELS}\npending = {PENDING}"
    )
    for words in (
        ("user", "create", "bob"),
        ("group", "create", "bosses"),
        ("group", "add", "bosses", "bob"),
        ("policy", "create", "ask", "--approval", "others", "--approvers", "bosses",
         "--approval-wait", "1h"),
    ):  # fmt: skip
        world.do(*words)
    world.tunnel("echo", "127.0.0.1", port, assign=False)
    world.do("assign", "echo", "--user", "alice", "--method", "key", "--policy", "ask")
    made = world.do("api-token", "create", "--title", "bob", "--role", "user", "--user", "bob")
    return world, made["token"]


def approve(world: Any, token: str) -> None:
    """Approve the one request that waits, as bob."""
    [request] = world.ask("requests", status="pending")
    asked = urllib.request.Request(
        f"http://127.0.0.1:{world.gateway.web_port}/api/v1/requests/{request['id']}/approve",
        data=b"{}",
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(asked, timeout=PATIENCE).close()


def held(world: Any) -> int:
    """Tell how many channels the pod holds."""
    lines = world.gateway.get("/metrics").splitlines()
    return next(
        int(float(one.split()[-1])) for one in lines if one.startswith("tunnelcloud_held_channels")
    )


async def hold(world: Any, connections: list[Any], port: int, count: int) -> list[Any]:
    """Ask for so many channels; return once the pod holds them."""
    before = held(world)
    opening = [
        asyncio.ensure_future(open_echo(connections[number % len(connections)], port))
        for number in range(count)
    ]
    until = time.monotonic() + 10 * PATIENCE
    while held(world) < before + count:
        failed = [one.exception() for one in opening if one.done()]
        assert not failed, failed[0]
        assert time.monotonic() < until, f"the pod holds {held(world)} channels"
        await asyncio.sleep(0.1)
    return opening


async def first_byte(world: Any, token: str, port: int) -> float:
    """Give the seconds from an approval until an echo comes back."""
    connection = await log_in(world)
    [opening] = await hold(world, [connection], port, 1)
    began = time.monotonic()
    approving = asyncio.get_running_loop().run_in_executor(None, approve, world, token)
    await opening
    took = time.monotonic() - began
    await approving
    for grant in world.ask("grants", live="true"):
        world.do("grant", "end", grant["id"])
    connection.abort()
    return took


async def cost(world: Any, port: int, channels: int, seconds: float) -> None:
    """Print what held channels cost."""
    pid = world.gateway.process.process.pid
    connections = [await log_in(world) for _ in range(-(-channels // A_SESSION))]
    opening = await hold(world, connections, port, len(connections))
    memory, before = resident_kib(pid), await look(pid, seconds)
    began = time.monotonic()
    opening += await hold(world, connections, port, channels - len(opening))
    took = time.monotonic() - began
    grown, later = resident_kib(pid) - memory, await look(pid, seconds)
    print(
        f"{channels} held channels: {grown / (channels - len(connections)):.1f} KiB each (at most "
        f"4), {later * 100:.1f} % of a processor (before: {before * 100:.1f}), asked for in "
        f"{took:.0f} s",
        flush=True,
    )
    for one in opening:
        one.cancel()
    for connection in connections:
        connection.abort()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10, help="of a look at the idle CPU")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    target = EchoTarget()
    world, token = make_world(target.port)
    try:
        times = [asyncio.run(first_byte(world, token, target.port)) for _ in range(options.runs)]
        shown = ", ".join(f"{one * 1000:.0f}" for one in times)
        print(f"approval to first byte: {shown} ms, median {statistics.median(times) * 1000:.0f}")
        asyncio.run(cost(world, target.port, options.channels, options.seconds))
    finally:
        target.close()
        world.close()


if __name__ == "__main__":
    main()
