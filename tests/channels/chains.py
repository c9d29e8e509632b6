"""A client, a splice and a target, joined in memory."""

from zope.interface import implementer

from tests.channels.wires import End, Pair
from tunnelcloud.channels.channel import Channel
from tunnelcloud.channels.messages import OPEN_CONNECT_FAILED
from tunnelcloud.channels.splice import ISpliceOwner, Splice

KIB = 1024


@implementer(ISpliceOwner)
class Router:
    """Joins whatever the client asks for with the target's side."""

    def __init__(self, link: Pair, spares: int = 0) -> None:
        self.link = link
        self.spares = spares
        self.splices: list[Splice] = []
        self.refusals: list[tuple[int, str]] = []
        self.ends: list[tuple[bool, str]] = []
        self.left: list[Splice] = []
        self.connected = 0

    def open(self, channel: Channel) -> None:
        splice = Splice(channel, self)
        self.splices.append(splice)
        splice.connect(self.link.a, b"direct-tcpip", b"%d" % channel.remote_number)

    def splice_connected(self, splice: Splice) -> None:
        self.connected += 1

    def splice_refused(self, splice: Splice, reason_code: int, description: str) -> None:
        self.refusals.append((reason_code, description))
        if self.spares:
            self.spares -= 1
            splice.connect(self.link.a, b"direct-tcpip", b"10.0.0.5")
        else:
            splice.refuse(OPEN_CONNECT_FAILED, "connect to 10.0.0.5: refused")

    def splice_left(self, splice: Splice) -> None:
        self.left.append(splice)

    def splice_ended(self, splice: Splice, clean: bool, reason: str) -> None:
        self.ends.append((clean, reason))


class Chain:
    """client - near pair - splice - far pair - target."""

    def __init__(self, spares: int = 0, limit: int = 128 * KIB, max_channels: int = 256) -> None:
        self.near = Pair(limit)
        self.far = Pair(limit, max_channels=max_channels)
        self.router = Router(self.far, spares)
        self.near.users[1].on_open = self.router.open

    def ask(self) -> End:
        client = End()
        client.channel = self.near.a.open_channel(b"direct-tcpip", b"", client)
        self.settle()
        return client

    def answer(self) -> End:
        target = End()
        target.is_target = True
        target.channel = self.far.users[1].asked[-1][0]
        target.channel.user = target
        target.channel.confirm()
        self.settle()
        return target

    def join(self) -> tuple[End, End]:
        client = self.ask()
        assert not client.is_open
        target = self.answer()
        assert client.is_open
        return client, target

    def settle(self) -> None:
        wires = (*self.near.wires, *self.far.wires)
        while sum(wire.deliver() for wire in wires):
            pass

    @property
    def pod_credit(self) -> int:
        return self.near.accounts[1].used + self.far.accounts[0].used
