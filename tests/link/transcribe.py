"""Writes down what this version's connector says to a pod, for later versions to be held to.

    python -m tests.link.transcribe tests/link/transcripts/0.1.json

Done once for each release.  What the connector only replies to requests isn't written down: how
many a pod sends is the pod's affair.
"""

import json
import sys
from pathlib import Path

from tests.channels.wires import End as StreamEnd
from tests.link.links import LinkPair
from tunnelcloud.link.framing import FrameReader
from tunnelcloud.link.protocol import End, LinkProtocol
from tunnelcloud.link.requests import RENEW

REPLIES = (81, 82)
SIZES = 1000, 2000
"""How many bytes a pod's client sends through a channel, and the target back."""


class Recorded(LinkPair):
    """A pod and a connector, and what the pod heard."""

    def __init__(self):
        self.heard = []
        super().__init__(handlers={RENEW: lambda link, document: {}})
        handle, frames = self.pod.dataReceived, FrameReader()

        def receive(data):
            self.heard += [bytes(message) for message in frames.feed(bytes(data))]
            handle(data)

        self.pod.dataReceived = receive

    def open(self):
        near, far = StreamEnd(), StreamEnd()
        near.channel = self.pod.open_channel(b"direct-tcpip", b"", near, self.budgets[0].account())
        self.run()
        far.channel = self.connector_owner.asked[-1][0]
        far.channel.user = far
        return near, far

    def new(self):
        """Give what was heard since the last time, as hexadecimal digits."""
        heard, self.heard = self.heard, []
        return [message.hex() for message in heard if message[0] not in REPLIES]


def transcribe():
    """Have a connector do all that one does; give what it said at each step."""
    pair, steps = Recorded(), {}
    pair.start()
    steps["hello"] = pair.new()
    near, far = pair.open()
    far.channel.confirm()
    pair.run()
    steps["opened"] = pair.new()
    near.write(SIZES[0])
    pair.run()
    far.consume(SIZES[0])
    far.write(SIZES[1])
    pair.run()
    steps["carried"] = pair.new()
    far.send_eof()
    pair.run()
    steps["ended"] = pair.new()
    _, refused = pair.open()
    refused.channel.refuse(2, "connection refused")
    pair.run()
    steps["refused"] = pair.new()
    pair.connector.request(RENEW, {"certificate_request": "CSR"})
    pair.run()
    steps["renewal"] = pair.new()
    pair.connector.drain()
    pair.run()
    steps["drained"] = pair.new()
    assert isinstance(pair.connector, LinkProtocol)
    assert pair.connector.end is End.CONNECTOR
    return steps


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(transcribe(), indent=1) + "\n")
