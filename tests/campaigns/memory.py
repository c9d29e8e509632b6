"""What a pod holds while 200 channels are stuffed full and nobody takes anything out.

usage: python -m tests.campaigns.memory [--state NAME ...] [--rekey-seconds S]

Each state has a pod, with its default settings, and a connector of its own:

push    clients send as fast as they may to targets that don't read
pull    targets send, and the clients' channels don't read
socket  targets send, and the clients don't read their sockets at all
rekey   targets send, and the clients begin to agree on new keys and never go on

in 25 sessions with 8 channels each, and ``-one`` after the name puts all into one session.  The
campaign fails if the pod ever held more than 150 MiB.
"""

import argparse
import asyncio
import json
import time

from asyncssh.connection import SSHConnection
from asyncssh.constants import MSG_KEXINIT

from benchmarks.processes import peak_kib, resident_kib
from tests.campaigns.ssh_streams import log_in, open_stream
from tests.integration.processes import PYTHON, Process, free_port
from tests.integration.worlds import World

CHANNELS = 200
LIMIT_MIB = 150
PIECE = bytes(64 * 1024)
STATES = [f"{name}{one}" for name in ("push", "pull", "socket", "rekey") for one in ("", "-one")]
LONGEST = 90


class CampaignFailed(Exception):
    """The pod held too much."""


class Pusher:
    """Sends on a channel for as long as the pod takes it."""

    moved = 0

    def __init__(self, stream):
        self.stream = stream
        self.task = asyncio.create_task(self.push())

    async def push(self):
        while not self.stream.closed.is_set():
            await self.stream.writable.wait()
            self.stream.channel.write(PIECE)
            self.moved += len(PIECE)
            await asyncio.sleep(0)


class Puller:
    """Counts what comes on a channel."""

    moved = 0

    def take(self, data):
        self.moved += len(data)


def stall_key_exchange(connection):
    """Ask for new keys, and answer nothing that comes of it."""
    handlers = dict(SSHConnection._packet_handlers)
    handlers[MSG_KEXINIT] = lambda *_: None
    connection._packet_handlers = handlers
    connection._send_kexinit()


async def stuff(world, state, port, steady_seconds, rekey_seconds):
    """Fill all channels and look on until nothing moves; give what passed, in MiB."""
    name, _, one = state.partition("-")
    sessions = 1 if one else CHANNELS // 8
    connections = [await log_in(world) for _ in range(sessions)]
    work = []
    for number in range(CHANNELS):
        connection = connections[number % sessions]
        if name == "push":
            work.append(Pusher(await open_stream(connection, "load", port)))
        else:
            puller = Puller()
            stream = await open_stream(connection, "load", port, puller.take)
            work.append(puller)
            if name == "pull":
                stream.channel.pause_reading()
    await asyncio.sleep(1)
    for connection in connections:
        if name == "socket":
            connection._transport.pause_reading()
        elif name == "rekey":
            stall_key_exchange(connection)
    await until_steady(world, work, steady_seconds, rekey_seconds if name == "rekey" else 0)
    granted = credit_mib(world)
    for pusher in work:
        if name == "push":
            pusher.task.cancel()
    for connection in connections:
        connection.abort()
    return sum(each.moved for each in work) / 2**20, granted


def credit_mib(world):
    """Read how much credit the pod has granted from its metrics."""
    (line,) = (
        line
        for line in world.gateway.get("/metrics").splitlines()
        if line.startswith("tunnelcloud_credit_bytes ")
    )
    return float(line.split()[1]) / 2**20


async def until_steady(world, work, steady_seconds, least):
    """Wait until neither bytes nor the pod's memory move, for ``least`` seconds at least."""
    pid = world.gateway.process.process.pid
    started = steady_since = time.monotonic()
    before = None
    while time.monotonic() - started < LONGEST:
        await asyncio.sleep(0.25)
        now = (sum(each.moved for each in work), resident_kib(pid) // 1024)
        if now != before:
            before, steady_since = now, time.monotonic()
        steady = time.monotonic() - steady_since > steady_seconds
        if steady and time.monotonic() - started >= least:
            return


async def be_target(push_port, pull_port):
    async def ignore(reader, writer):
        writer.transport.pause_reading()

    async def send(reader, writer):
        try:
            while True:
                writer.write(PIECE)
                await writer.drain()
        except ConnectionError:
            writer.close()

    servers = [
        await asyncio.start_server(handle, "127.0.0.1", port, backlog=CHANNELS)
        for handle, port in ((ignore, push_port), (send, pull_port))
    ]
    print("listening", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def run(state, steady_seconds, rekey_seconds):
    ports = free_port(), free_port()
    target = Process([PYTHON, "-m", "tests.campaigns.memory", "--target", *ports])
    world = World("[shares]\nchannels = 5000\nper_target = 1024\npending = 1024")
    try:
        target.wait_for("listening")
        world.tunnel("load", "127.0.0.1", *ports)
        pid = world.gateway.process.process.pid
        idle = resident_kib(pid) / 1024
        port = ports[0] if state.startswith("push") else ports[1]
        moved, granted = asyncio.run(stuff(world, state, port, steady_seconds, rekey_seconds))
        figures = {
            "state": state,
            "pod_mib_idle": round(idle),
            "pod_mib_at_most": round(peak_kib(pid) / 1024),
            "connector_mib_at_most": round(peak_kib(world.connector.process.process.pid) / 1024),
            "mib_granted": round(granted),
            "mib_passed": round(moved),
        }
        print(json.dumps(figures), flush=True)
        if figures["pod_mib_at_most"] > LIMIT_MIB:
            raise CampaignFailed(f"the pod held {figures['pod_mib_at_most']} MiB")
    finally:
        world.close()
        target.kill()


def main():
    parser = argparse.ArgumentParser(description="measure a pod whose channels are full")
    parser.add_argument("--state", nargs="*", default=STATES, choices=STATES)
    parser.add_argument("--steady-seconds", type=float, default=4)
    parser.add_argument("--rekey-seconds", type=float, default=33)
    parser.add_argument("--target", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.target:
        asyncio.run(be_target(*options.target))
    for state in options.state:
        run(state, options.steady_seconds, options.rekey_seconds)


if __name__ == "__main__":
    main()
