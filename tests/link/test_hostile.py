"""A connector that joined and then sends whatever it likes touches no stream but its own."""

import struct

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from tests.channels.test_messages import any_message, messages
from tests.channels.wires import End, Pair
from tests.link.links import LinkPair
from tunnelcloud.channels.splice import ISpliceOwner, Splice
from tunnelcloud.link.requests import DISMISS, DRAIN, HELLO, PING, PODS, RENEW

few = st.integers(0, 4)
names = st.sampled_from([HELLO, PING, DRAIN, PODS, RENEW, DISMISS, b"x"])
documents = st.sampled_from(
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"pods": ["127.0.0.1:1"]}',
        b'{"reason": "gone"}',
        b'{"certificate_request": "x"}',
        b'{"version": 1, "name": "pod-1", "software": "0"}',
    ]
)
channel_message = st.one_of(
    st.builds(messages.ChannelData, few, st.binary(max_size=70_000)),
    st.builds(messages.ChannelData, few, st.binary(max_size=10)),
    st.builds(messages.ChannelExtendedData, few, few, st.binary(max_size=10)),
    st.builds(messages.ChannelWindowAdjust, few, st.sampled_from([0, 1, 2**31, 2**32 - 1])),
    st.builds(messages.ChannelEof, few),
    st.builds(messages.ChannelClose, few),
    st.builds(messages.ChannelOpenConfirmation, few, few, st.just(2**32 - 1), st.just(32768)),
    st.builds(messages.ChannelOpenFailure, few, few, st.binary(max_size=20)),
    st.builds(messages.ChannelRequest, few, st.binary(max_size=20), st.booleans()),
    st.builds(messages.GlobalRequest, names, st.booleans(), documents),
)
frames = st.one_of(
    channel_message.map(lambda message: message.encode()),
    any_message.map(lambda message: message.encode()),
    st.binary(min_size=1, max_size=40),
).map(lambda message: struct.pack(">I", len(message)) + message)
stream = st.lists(st.one_of(frames, frames, frames, st.binary(max_size=8)), max_size=25)


@implementer(ISpliceOwner)
class Router:
    """Sends every other channel to the honest link."""

    def __init__(self, links):
        self.links = links
        self.opened = 0

    def open(self, channel):
        link = self.links[self.opened % 2]
        self.opened += 1
        Splice(channel, self).connect(link.pod.multiplexer, b"direct-tcpip", b"")

    def splice_connected(self, splice):
        pass

    def splice_refused(self, splice, reason_code, description):
        splice.refuse(reason_code, description)

    def splice_ended(self, splice, clean, reason):
        pass


class World:
    """One client session, an honest connector and a hostile one."""

    def __init__(self):
        self.session = Pair()
        self.honest, self.hostile = LinkPair().start(), LinkPair().start()
        self.session.users[1].on_open = Router([self.honest, self.hostile]).open
        self.clients = []
        for _ in range(4):
            client = End()
            client.channel = self.session.a.open_channel(b"direct-tcpip", b"", client)
            self.clients.append(client)
        self.run()
        self.targets = []
        for link, answers in ((self.honest, 2), (self.hostile, 1)):
            for channel, _, _ in link.connector_owner.asked[:answers]:
                target = End()
                target.channel = channel
                channel.user = target
                channel.confirm()
                self.targets.append(target)
        self.run()

    def run(self):
        for _ in range(3):
            self.session.settle()
            self.honest.run()
            self.hostile.run()


class HostileConnectorTests(SynchronousTestCase):
    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(stream)
    def test_other_streams_go_on(self, chunks):
        world = World()
        honest_clients = world.clients[::2]
        # What comes of the hostile bytes is no concern of a client's position check.
        for client in world.clients[1::2]:
            client.data_received = lambda data: None
        for target in world.targets:
            target.eager = True
        for client in honest_clients:
            client.eager = True
        for chunk in chunks:
            world.hostile.pod.dataReceived(chunk)
            world.run()
        for client, target in zip(honest_clients, world.targets[:2], strict=True):
            client.write(100_000)
            target.write(50_000)
        world.run()
        for client, target in zip(honest_clients, world.targets[:2], strict=True):
            self.assertEqual((target.received, client.received), (100_000, 50_000))
            client.send_eof()
            target.send_eof()
        world.run()
        for target in world.targets[:2]:
            target.channel.close()
        world.run()
        self.assertEqual([client.end for client in honest_clients], [(True, "")] * 2)
        honest = world.honest.pod
        self.assertTrue(honest.ready)
        self.assertEqual((honest.peer.name, honest.liveness.round_trip), ("paris-1", 0))
        self.assertEqual(world.honest.pod_owner.lost, [])
        world.hostile.pod.disconnect("enough")
        world.run()
        world.session.lose()
        self.assertEqual(world.session.accounts[1].used, 0)
        self.assertEqual(world.honest.pod.channel_count, 0)
        self.assertEqual(self.flushLoggedErrors(), [])
