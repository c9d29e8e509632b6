"""The target's half of the stream oracle: does what each stream's plan says, and reports.

A connection begins with the length of the plan (uint32) and the plan, in JSON.  What came of it
is a line of JSON on standard output, ``"number": -1`` is one that was cut off before its plan came.
"""

import argparse
import asyncio
import contextlib
import json
import random
import socket
import struct
import sys

from tests.campaigns.coded_bytes import Reader, coded

UP, DOWN = 0, 1
RESET = struct.pack("ii", 1, 0)


def key_of(number, direction):
    """Name one direction of a stream."""
    return number * 2 + direction


def pieces(chance, size, largest=256 * 1024):
    """Cut ``size`` bytes into pieces of all sizes; small ones are common."""
    while size:
        piece = min(size, chance.choice((1, 100, 4000, largest // 8, largest, largest)))
        piece = chance.randint(1, piece)
        size -= piece
        yield piece


class Conversation:
    """One connection."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.sent = 0
        self.eof = False
        self.error = ""

    async def hold(self):
        (length,) = struct.unpack(">I", await self.reader.readexactly(4))
        self.plan = json.loads(await self.reader.readexactly(length))
        number = self.plan["number"]
        self.check = Reader(key_of(number, UP))
        self.reset_at = self.plan["at"] if self.plan["kind"] == "target resets" else None
        self.over = asyncio.Event()
        work = [asyncio.create_task(each) for each in (self.read(), self.write())]
        try:
            await asyncio.gather(*work)
        except OSError as error:
            self.error = type(error).__name__
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        print(
            json.dumps(
                {
                    "number": number,
                    "received": self.check.received,
                    "wrong": self.check.wrong,
                    "sent": self.sent,
                    "eof": self.eof,
                    "error": self.error,
                }
            ),
            flush=True,
        )
        with contextlib.suppress(ConnectionError):
            self.writer.close()
            await self.writer.wait_closed()

    async def read(self):
        chance = random.Random(self.plan["number"])
        slow = self.plan["target_reads_slowly"]
        for _ in range(slow):
            self.take(await self.reader.read(1024))
            await asyncio.sleep(1)
        while not self.eof:
            self.take(await self.reader.read(256 * 1024))
            if chance.random() < self.plan["pauses"]:
                await asyncio.sleep(chance.random() / 10)

    def take(self, data):
        self.check.take(data)
        self.eof = not data
        self.reset_if_due()

    async def write(self):
        chance = random.Random(self.plan["number"] + 1)
        for size in pieces(chance, self.plan["down"]):
            self.writer.write(coded(key_of(self.plan["number"], DOWN), self.sent, size))
            self.sent += size
            self.reset_if_due()
            await self.writer.drain()
            if chance.random() < self.plan["pauses"]:
                await asyncio.sleep(chance.random() / 10)
        if self.reset_at is None:
            self.writer.write_eof()

    def reset_if_due(self):
        if self.reset_at is not None and self.check.received + self.sent >= self.reset_at:
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.writer.transport.abort()
            raise ConnectionAbortedError("as planned")


async def serve(port):
    async def accepted(reader, writer):
        try:
            await Conversation(reader, writer).hold()
        except ConnectionError:
            print(json.dumps({"number": -1}), flush=True)

    server = await asyncio.start_server(accepted, "127.0.0.1", port, limit=128 * 1024)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    sys.exit(asyncio.run(serve(parser.parse_args().port)))
