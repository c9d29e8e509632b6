"""What held channels cost a pod, and how soon an approval opens one: real pods, real processes.

    python -m benchmarks.held --channels 10000 --users 100 --seconds 30
    python -m benchmarks.held --pods 2 --runs 20

The limits are 4 KiB a held channel, no CPU, and from the approval to the first byte 300 ms on the
same pod and 1 s where another pod of the same database holds the channel.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import asyncssh
from attrs import frozen

from benchmarks.processes import HOST, resident_kib
from benchmarks.scale import look, open_echo
from tests.integration.processes import PATIENCE, Gateway
from tests.integration.targets import EchoTarget
from tests.integration.test_pods import Pods
from tests.integration.worlds import World


@frozen
class Asker:
    """Somebody whose channels are held.

    :ivar key: their private key.
    """

    name: str
    user_id: str
    key: Any


class Stage:
    """Pods of one database, where a group may open the tunnel ``echo`` once bob approves it.

    :param do: runs a command of the administrator's.
    :param port: the target's.
    """

    def __init__(self, gateways: list[Gateway], do: Callable[..., Any], port: int) -> None:
        self.gateways, self.port = gateways, port
        self._token = gateways[0].admin_token
        do("user", "create", "bob")
        do("group", "create", "bosses")
        do("group", "add", "bosses", "bob")
        words = ("--approval", "others", "--approvers", "bosses", "--approval-wait", "1h")
        do("policy", "create", "ask", *words)
        self._askers = do("group", "create", "askers")["id"]
        do("tunnel", "create", "echo", "--site", "paris", "--address", HOST, "--port", port)
        do("assign", "echo", "--group", "askers", "--method", "key", "--policy", "ask")
        bob = ("--title", "bob", "--role", "user", "--user", "bob")
        self._bob = do("api-token", "create", *bob)["token"]

    def call(self, method: str, path: str, body: Any = None, pod: int = 0, token: str = "") -> Any:
        """Have the API of a pod do something, as the first administrator or by a token."""
        return self.gateways[pod].api(method, f"/{path}", body, token=token or self._token)

    def asker(self, number: int) -> Asker:
        """Make one more user who may ask."""
        key = asyncssh.generate_private_key("ssh-ed25519")
        made = self.call("POST", "users", {"name": f"asker-{number}"})
        public = {"title": "key", "public_key": key.export_public_key().decode().strip()}
        self.call("POST", f"users/{made['id']}/keys", public)
        self.call("PUT", f"groups/{self._askers}/members/{made['id']}")
        return Asker(made["name"], made["id"], key)

    def request_of(self, asker: Asker) -> str:
        """Give the id of the one request of a user that waits, once it is written."""
        path = f"requests?status=pending&user_id={asker.user_id}"
        until = time.monotonic() + PATIENCE
        while not (found := self.call("GET", path)["items"]):
            assert time.monotonic() < until, "the request is written"
            time.sleep(0.05)
        [request] = found
        return str(request["id"])

    def approve(self, request_id: str, pod: int) -> None:
        """Approve a request as bob."""
        self.call("POST", f"requests/{request_id}/approve", {}, pod, self._bob)

    def end_grants(self, asker: Asker) -> None:
        """End what was approved for a user."""
        for grant in self.call("GET", f"grants?live=true&user_id={asker.user_id}")["items"]:
            self.call("DELETE", f"grants/{grant['id']}")

    async def log_in(self, asker: Asker) -> Any:
        """Connect to the first pod."""
        return await asyncssh.connect(
            HOST,
            self.gateways[0].ssh_port,
            username=asker.name,
            client_keys=[asker.key],
            agent_path=None,
            known_hosts=None,
            config=[],
            encryption_algs=["aes128-gcm@openssh.com"],
            keepalive_interval=0,
            login_timeout=PATIENCE,
        )

    def held(self) -> int:
        """Tell how many channels the first pod holds."""
        lines = self.gateways[0].get("/metrics").splitlines()
        name = "tunnelcloud_held_channels"
        return next(int(float(one.split()[-1])) for one in lines if one.startswith(name))

    async def hold(self, connections: list[Any], count: int) -> list[Any]:
        """Ask for so many channels; return once the pod holds them."""
        before = self.held()
        opening = [
            asyncio.ensure_future(open_echo(connections[number % len(connections)], self.port))
            for number in range(count)
        ]
        until = time.monotonic() + 10 * PATIENCE
        while (now := self.held()) < before + count:
            failed = [one.exception() for one in opening if one.done()]
            assert not failed, failed[0]
            assert time.monotonic() < until, f"the pod holds {now} channels"
            await asyncio.sleep(0.1)
        return opening


async def first_byte(stage: Stage, asker: Asker) -> float:
    """Give the seconds from an approval, on the last pod, until an echo comes by the first."""
    connection = await stage.log_in(asker)
    [opening] = await stage.hold([connection], 1)
    request_id = stage.request_of(asker)
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    approving = loop.run_in_executor(None, stage.approve, request_id, len(stage.gateways) - 1)
    await opening
    took = time.monotonic() - began
    await approving
    stage.end_grants(asker)
    connection.abort()
    return took


async def first_bytes(stage: Stage, asker: Asker, runs: int, where: str) -> None:
    """Print how long it takes from approvals to first bytes."""
    times = sorted([await first_byte(stage, asker) for _ in range(runs)])
    shown = ", ".join(f"{one * 1000:.0f}" for one in times)
    middle = statistics.median(times) * 1000
    print(f"approval to first byte {where}: {shown} ms, median {middle:.0f}", flush=True)


async def cost(stage: Stage, options: argparse.Namespace) -> None:
    """Print what held channels cost, and how soon one among them opens."""
    pid = stage.gateways[0].process.process.pid
    first, *others = [stage.asker(number) for number in range(options.users + 1)]
    await first_bytes(stage, first, options.runs, "alone")
    connections = [await stage.log_in(asker) for asker in others]
    # The first of everything makes caches, and the request.
    opening = await stage.hold(connections, len(connections))
    memory, before = resident_kib(pid), await look(pid, options.seconds)
    began = time.monotonic()
    opening += await stage.hold(connections, options.channels - len(opening))
    took = time.monotonic() - began
    grown, later = resident_kib(pid) - memory, await look(pid, options.seconds)
    print(
        f"{stage.held()} held channels of {len(others)} users: "
        f"{grown / (options.channels - len(connections)):.1f} KiB each (at most 4), "
        f"{later * 100:.1f} % of a processor in {options.seconds:g} s (with "
        f"{len(connections)}: {before * 100:.1f} %), asked for in {took:.0f} s",
        flush=True,
    )
    await first_bytes(stage, first, options.runs, f"among {stage.held()}")
    for one in opening:
        one.cancel()
    for connection in connections:
        connection.abort()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--channels", type=int, default=10_000)
    parser.add_argument("--users", type=int, default=100, help="who share the channels")
    parser.add_argument("--seconds", type=float, default=30, help="of a look at the idle CPU")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--pods", type=int, default=1, help="on PostgreSQL, if several")
    options = parser.parse_args()
    if options.pods > 1:
        with closing(Pods(options.pods)) as pods:
            stage = Stage(pods.gateways, pods.do, pods.echo.port)
            where = "of a channel that another pod holds"
            asyncio.run(first_bytes(stage, stage.asker(1), options.runs, where))
    else:
        with closing(EchoTarget()) as target, closing(World()) as world:
            asyncio.run(cost(Stage([world.gateway], world.do, target.port), options))
    print(f"load: {', '.join(f'{one:.1f}' for one in os.getloadavg())}")


if __name__ == "__main__":
    main()
