"""Streams of all kinds at once through a real pod and connector; every byte is accounted for.

usage: python -m tests.campaigns.stream_oracle [--seed N] [--mib M] [--slow-seconds S]

Each stream carries bytes that tell their position, both ways at once, after a plan that says how
many; ends come in random order, writers and readers pause, some readers take 1 KiB a second for a
while beside fast ones, some targets reset, and some clients close, with EOF or without.  (Ways to
end, one by one, are in ``tests.integration.test_ends``.)  The campaign fails unless

- every byte is the one that was sent, at its place,
- a stream that nobody cut is whole: as many bytes as planned, then EOF, both ways, and its record
  tells as many and no reason,
- a stream that its target reset ends at the client with CLOSE and without EOF, and its record says
  that the target reset it,
- a stream that its client closed is whole at the target, which sees its end and no reset; its
  record tells as many bytes as the target's system took, and no reason,
- no log has a traceback.
"""

import argparse
import asyncio
import json
import random
import struct
import sys
import time
from collections import Counter

from attrs import asdict, define

from tests.campaigns.coded_bytes import Reader, coded
from tests.campaigns.oracle_target import DOWN, UP, key_of, pieces
from tests.campaigns.ssh_streams import log_in, open_stream
from tests.integration.processes import PYTHON, Process, free_port
from tests.integration.worlds import World

KIB = 1024
MIB = 1024 * KIB
STALLED = 120
SESSIONS = 3
AT_ONCE = 8
_LINES_TOLD = 40
SAID_TO_NOBODY = 512 * KIB
"""So much, and more, a target may say when its client has closed, before it is reset."""
WHOLE, TARGET_RESETS, CLIENT_CLOSES = "whole", "target resets", "client closes"


class CampaignFailed(Exception):
    """A byte, an end or a record isn't what it must be."""


def check(fact, number, message):
    if not fact:
        raise CampaignFailed(f"stream {number}: {message}")


@define
class Plan:
    """One stream.

    :ivar at: how many bytes pass, either way, before somebody ends it.
    :ivar pauses: how likely a pause is after each piece.
    """

    number: int
    kind: str
    up: int
    down: int
    at: int
    pauses: float
    target_reads_slowly: int = 0
    client_reads_slowly: int = 0

    @property
    def header(self):
        text = json.dumps(asdict(self)).encode()
        return struct.pack(">I", len(text)) + text


def plans(seed, total, slow_seconds):
    """Plan streams until they carry ``total`` bytes; the same seed gives the same ones."""
    chance = random.Random(seed)
    # A reader that takes 1 KiB a second comes first: each session has one for either direction.
    for number in range(2 * SESSIONS):
        slow = {"target_reads_slowly": slow_seconds} if number % 2 else {}
        slow = slow or {"client_reads_slowly": slow_seconds}
        yield Plan(number, WHOLE, 8 * MIB, 8 * MIB, 0, 0.0, **slow)
        total -= 16 * MIB
    number = 2 * SESSIONS
    sizes = (0, 1, 100, 60 * KIB, 300 * KIB, 5 * MIB, 40 * MIB)
    while total > 0:
        up, down = (chance.randint(0, chance.choice(sizes)) for _ in range(2))
        kind = chance.choice((WHOLE, WHOLE, WHOLE, TARGET_RESETS, CLIENT_CLOSES))
        if up + down < 2:
            kind = WHOLE
        if kind == CLIENT_CLOSES:
            down = min(down, SAID_TO_NOBODY)
        at = chance.randint(1, max(1, up + down - 1))
        yield Plan(number, kind, up, down, at, chance.choice((0, 0, 0.01, 0.3)))
        total -= at if kind != WHOLE else up + down
        number += 1


class Client:
    """The client's half of one stream."""

    def __init__(self, plan):
        self.plan = plan
        self.check = Reader(key_of(plan.number, DOWN))
        self.chance = random.Random(plan.number + 2)
        self.sent = 0
        self.slow_until = 0.0
        self.closed = False

    async def run(self, connection, port):
        small = {"max_pktsize": KIB} if self.plan.client_reads_slowly else {}
        self.stream = await open_stream(connection, "oracle", port, self.take, **small)
        self.slow_until = time.monotonic() + self.plan.client_reads_slowly
        self.stream.channel.write(self.plan.header)
        await self.write()
        await self.stream.closed.wait()

    def take(self, data):
        self.check.take(data)
        self.close_if_due()
        if time.monotonic() < self.slow_until:
            self.pause(1)
        elif self.chance.random() < self.plan.pauses / 10:
            self.pause(self.chance.random() / 10)

    def pause(self, seconds):
        self.stream.channel.pause_reading()
        asyncio.get_running_loop().call_later(seconds, self.stream.channel.resume_reading)

    async def write(self):
        for size in pieces(self.chance, self.plan.up):
            await self.stream.writable.wait()
            if self.closed or self.stream.closed.is_set():
                return
            data = coded(key_of(self.plan.number, UP), self.sent, size)
            try:
                self.stream.channel.write(data)
            except BrokenPipeError:
                return
            self.sent += size
            self.close_if_due()
            if self.chance.random() < self.plan.pauses:
                await asyncio.sleep(self.chance.random() / 10)
        if self.plan.kind != CLIENT_CLOSES and not self.stream.closed.is_set():
            self.stream.channel.write_eof()

    def close_if_due(self):
        moved = self.check.received + self.sent
        if self.plan.kind == CLIENT_CLOSES and moved >= self.plan.at and not self.closed:
            self.closed = True
            if self.plan.number % 2:
                self.stream.channel.write_eof()
            self.stream.channel.close()


class Oracle:
    """All streams of one campaign."""

    def __init__(self, world, port, planned):
        self.world = world
        self.port = port
        self.planned = planned
        self.waiting = iter(planned)
        self.clients = {}
        self.running = set()

    @property
    def moved(self):
        return sum(client.sent + client.check.received for client in self.clients.values())

    async def run(self):
        connections = [await log_in(self.world) for _ in range(SESSIONS)]
        workers = [
            asyncio.create_task(self.work(connection))
            for _ in range(AT_ONCE)
            for connection in connections
        ]
        watch = asyncio.create_task(self.watch())
        everything = asyncio.gather(*workers)
        await asyncio.wait({everything, watch}, return_when=asyncio.FIRST_COMPLETED)
        if watch.done():
            everything.cancel()
            await watch
        watch.cancel()
        await everything
        for connection in connections:
            connection.close()
            await connection.wait_closed()

    async def work(self, connection):
        for plan in self.waiting:
            client = self.clients[plan.number] = Client(plan)
            self.running.add(plan.number)
            await client.run(connection, self.port)
            self.running.discard(plan.number)

    async def watch(self):
        """Fail when nothing moves; say now and then how far it is."""
        before = -1
        while True:
            await asyncio.sleep(STALLED)
            if self.moved == before:
                raise CampaignFailed(f"nothing moves any more; open: {sorted(self.running)}")
            before = self.moved
            print(f"{before / MIB:.0f} MiB", flush=True)

    def judge(self, reports):
        """Compare what both halves saw with the plan, and with the books."""
        by_number = {report["number"]: report for report in reports}
        for plan in self.planned:
            check(plan.number in by_number, plan.number, "the target heard nothing of it")
            judge_stream(plan, self.clients[plan.number], by_number[plan.number])
        self.judge_records()

    def judge_records(self):
        records = self.world.closed_channels(len(self.planned))
        reasons = Counter(record["close_reason"] for record in records)
        kinds = Counter(plan.kind for plan in self.planned)
        whole = kinds[WHOLE] + kinds[CLIENT_CLOSES]
        expected = Counter({"": whole, "target: reset": kinds[TARGET_RESETS]})
        check(reasons == +expected, "all", f"the records say {reasons}, planned was {expected}")
        told = Counter(
            (record["bytes_to_target"], record["bytes_from_target"])
            for record in records
            if not record["close_reason"]
        )
        planned = Counter(
            (len(plan.header) + plan.up, plan.down) for plan in self.planned if plan.kind == WHOLE
        )
        check(not planned - told, "all", f"bytes in records differ: {planned - told}")
        delivered = Counter(
            len(plan.header) + self.clients[plan.number].sent
            for plan in self.planned
            if plan.kind != TARGET_RESETS
        )
        taken = Counter(to_target for to_target, _ in told.elements())
        check(taken == delivered, "all", f"bytes that targets took: {taken - delivered}")


def judge_stream(plan, client, report):
    number = plan.number
    check(not client.check.wrong, number, "the client got a wrong byte")
    check(not report["wrong"], number, "the target got a wrong byte")
    check(client.check.received <= report["sent"], number, "the client got more than was sent")
    check(report["received"] <= client.sent, number, "the target got more than was sent")
    if plan.kind == WHOLE:
        seen = (client.check.received, client.stream.eof, report["received"], report["eof"])
        check(seen == (plan.down, True, plan.up, True), number, f"isn't whole: {seen}, {plan}")
        check(not report["error"], number, f"the target saw {report['error']}")
    elif plan.kind == TARGET_RESETS:
        check(not client.stream.eof, number, f"reset, but the client saw EOF: {plan}, {report}")
    else:
        seen = (report["received"], report["eof"], report["error"])
        check(seen == (client.sent, True, ""), number, f"sent {client.sent}, target saw {report}")


def run(seed, mib, slow_seconds):
    port = free_port()
    target = Process([PYTHON, "-m", "tests.campaigns.oracle_target", port])
    world = World()
    try:
        target.wait_for("listening")
        world.tunnel("oracle", "127.0.0.1", port)
        oracle = Oracle(world, port, list(plans(seed, mib * MIB, slow_seconds)))
        started = time.monotonic()
        asyncio.run(oracle.run())
        seconds = time.monotonic() - started
        # A pod's check of the tunnel connects as well, and says nothing: its report has no number.
        line = r'^\{"number": \d.*'
        oracle.judge([json.loads(target.wait_for(line).group()) for _ in oracle.planned])
        for process in (world.gateway.process, world.connector.process):
            check("Traceback" not in "\n".join(process.said()), "all", "the log has a traceback")
    except BaseException:
        for process in (world.gateway.process, world.connector.process):
            print("\n".join(process.said()[-_LINES_TOLD:]), file=sys.stderr)
        raise
    finally:
        world.close()
        target.kill()
    kinds = Counter(plan.kind for plan in oracle.planned)
    return {"mib": round(oracle.moved / MIB), "seconds": round(seconds), "streams": dict(kinds)}


def main():
    parser = argparse.ArgumentParser(description="account for every byte of many streams")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mib", type=int, default=20 * 1024)
    parser.add_argument("--slow-seconds", type=int, default=60)
    options = parser.parse_args()
    print(json.dumps(run(options.seed, options.mib, options.slow_seconds)))


if __name__ == "__main__":
    main()
