"""The network between a connector and its pod is cut, without a word to either.

usage, as root: python -m tests.campaigns.network_cut [--longest-silence 45]

Pod and client have one network namespace, each of two connectors and its target one of its own,
and so has the bridge between them.  The cut unplugs the first connector from the bridge.
The campaign fails unless

- within the longest silence every stream of that connector ended with CLOSE and without EOF, and
  no other did; its record says why,
- streams of the other connector went on meanwhile,
- every channel that was wanted meanwhile was opened, through the other connector: at once, once
  the first had missed a ping,
- the first connector is back soon after the cable is.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time

from tests.campaigns.ssh_streams import log_in, open_stream
from tests.integration.processes import PYTHON, Process, free_port
from tests.integration.worlds import World
from tests.requirements import require_executable
from tunnelcloud.link.liveness import PINGS_IN_SILENCE

HOSTS = {"pod": "10.77.0.1", "a": "10.77.0.11", "b": "10.77.0.12"}
AT_ONCE = 3.0


class CampaignFailed(Exception):
    """A stream was left in silence, or one was cut that needn't have been."""


def check(fact, message):
    if not fact:
        raise CampaignFailed(message)


# The network.


def ip(*words):
    subprocess.run([require_executable("ip"), *words], check=True, capture_output=True, text=True)


def inside(namespace):
    return (require_executable("ip"), "netns", "exec", namespace)


class Network:
    """Namespaces of this process's own, and cables between them."""

    def __init__(self):
        self.prefix = f"tc{os.getpid()}"
        self.namespaces = []

    def namespace(self, name):
        return f"{self.prefix}{name}"

    def __enter__(self):
        try:
            self.lay()
        except BaseException:
            self.__exit__()
            raise
        return self

    def lay(self):
        net = self.namespace("net")
        for name in ("net", *HOSTS):
            ip("netns", "add", self.namespace(name))
            self.namespaces.append(self.namespace(name))
            ip("-n", self.namespace(name), "link", "set", "lo", "up")
        ip("-n", net, "link", "add", "switch", "type", "bridge")
        ip("-n", net, "link", "set", "switch", "up")
        for name, address in HOSTS.items():
            there = self.namespace(name)
            far = ("peer", "name", "eth0", "netns", there)
            ip("-n", net, "link", "add", "name", name, "type", "veth", *far)
            ip("-n", there, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", there, "link", "set", "eth0", "up")
            ip("-n", net, "link", "set", "dev", name, "master", "switch", "up")

    def __exit__(self, *_):
        while self.namespaces:
            ip("netns", "delete", self.namespaces.pop())


# What happens in it.


class Talk:
    """A stream that says something every so often and hears it again."""

    def __init__(self, stream, quiet):
        self.stream = stream
        self.quiet = quiet
        self.heard = 0
        self.ended_at = None
        stream.on_data = self.hear
        self.tasks = [asyncio.create_task(self.wait())]
        if not quiet:
            self.tasks.append(asyncio.create_task(self.talk()))

    def hear(self, data):
        self.heard += len(data)

    async def wait(self):
        await self.stream.closed.wait()
        self.ended_at = time.monotonic()

    async def talk(self):
        while not self.stream.closed.is_set():
            self.stream.channel.write(b"x")
            await asyncio.sleep(0.1)

    async def answers(self):
        """Tell whether the target still answers."""
        before = self.heard
        self.stream.channel.write(b"?")
        for _ in range(int(AT_ONCE / 0.02)):
            if self.heard > before:
                return True
            await asyncio.sleep(0.02)
        return False

    async def end(self):
        for task in self.tasks:
            task.cancel()
        self.stream.channel.abort()


async def timed_open(connection, port):
    started = time.monotonic()
    stream = await open_stream(connection, "echo", port)
    return Talk(stream, True), time.monotonic() - started


async def cut(world, prefix, port, silence):
    """Cut the first connector off and look on; give what was measured, in seconds."""
    connection = await log_in(world)
    talks = [Talk(await open_stream(connection, "echo", port), n % 4 > 1) for n in range(8)]
    for talk in talks:
        check(await talk.answers(), "a stream doesn't answer")
    net = f"{prefix}net"
    ip("-n", net, "link", "set", "dev", "a", "nomaster")
    started = time.monotonic()
    eager = [asyncio.create_task(timed_open(connection, port)) for _ in range(4)]
    await asyncio.sleep(1.6 * silence / PINGS_IN_SILENCE)
    late = [await timed_open(connection, port) for _ in range(4)]
    slowest = max(seconds for _, seconds in late)
    check(slowest < AT_ONCE, f"a channel took {slowest:.1f} s after a missed ping")
    while sum(talk.ended_at is not None for talk in talks) < 4:
        check(time.monotonic() - started < silence + 1, f"streams are silent after {silence} s")
        await asyncio.sleep(0.05)
    ended = [talk for talk in talks if talk.ended_at is not None]
    found = max(talk.ended_at for talk in ended) - started
    check(not any(talk.stream.eof for talk in ended), "a cut stream ended with EOF")
    first = [await opening for opening in eager]
    on_the_other = [talk for talk in talks if talk not in ended] + [t for t, _ in (*first, *late)]
    for talk in on_the_other:
        check(await talk.answers(), "a stream of the other connector doesn't answer")
    check_records(world, cut_off(world))
    ip("-n", net, "link", "set", "dev", "a", "master", "switch")
    plugged = time.monotonic()
    while cut_off(world)["load"] is None:
        check(time.monotonic() - plugged < 60, "the connector is not back")
        await asyncio.sleep(0.2)
    for talk in (*talks, *on_the_other):
        await talk.end()
    connection.abort()
    return {
        "found": round(found, 1),
        "slowest_open_after_the_cut": round(max(seconds for _, seconds in first), 1),
        "slowest_open_after_a_missed_ping": round(slowest, 2),
        "back_after": round(time.monotonic() - plugged, 1),
    }


def cut_off(world):
    """Give the first connector, as the API shows it."""
    (connector,) = [each for each in world.ask("connectors") if each["name"] == "paris-1"]
    return connector


def check_records(world, connector):
    """Every stream that was cut has a record that says so."""
    check(connector["load"] is None, "the connector still counts as attached")
    closed = world.closed_channels(4)
    check(len(closed) == 4, f"{len(closed)} channels are closed")
    for record in closed:
        check("silent" in record["close_reason"], f"the reason is {record['close_reason']!r}")
        check(record["connector_id"] == connector["id"], "the record names another connector")


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def be_target(port):
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    print("listening", flush=True)
    await server.serve_forever()


def run_inside(prefix, silence):
    """Run in the pod's namespace."""
    port = free_port()
    world = World(
        prefix=inside(f"{prefix}a"),
        link_host=HOSTS["pod"],
        connectors=f'longest_silence = "{silence}s"',
    )
    targets = []
    try:
        world.add_connector(inside(f"{prefix}b"))
        world.tunnel("echo", "127.0.0.1", port)
        for site in ("a", "b"):
            words = [*inside(f"{prefix}{site}"), PYTHON, "-m", "tests.campaigns.network_cut"]
            targets.append(Process([*words, "--target", port]))
            targets[-1].wait_for("listening")
        print(json.dumps(asyncio.run(cut(world, prefix, port, silence))))
    finally:
        world.close()
        for target in targets:
            target.kill()


def main():
    parser = argparse.ArgumentParser(description="cut the network between connector and pod")
    parser.add_argument("--longest-silence", type=int, default=45, help="the pod's setting")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--target", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.target:
        asyncio.run(be_target(options.target))
    if options.inside:
        run_inside(options.inside, options.longest_silence)
        return
    with Network() as network:
        words = [*inside(network.namespace("pod")), PYTHON, "-m", "tests.campaigns.network_cut"]
        words += ["--inside", network.prefix, "--longest-silence", str(options.longest_silence)]
        sys.exit(subprocess.run(words, check=False).returncode)


if __name__ == "__main__":
    main()
