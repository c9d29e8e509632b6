"""Streams through a pod, by a client that can tell EOF from CLOSE (asyncssh)."""

import asyncio

import asyncssh
from asyncssh.channel import SSHChannel
from asyncssh.constants import MSG_CHANNEL_EOF

_process_eof = SSHChannel._packet_handlers[MSG_CHANNEL_EOF]


def _note_eof(channel, *arguments):
    """Note an EOF: asyncssh forgets one that CLOSE follows while reading is paused."""
    channel.eof_arrived = True
    _process_eof(channel, *arguments)


SSHChannel._packet_handlers[MSG_CHANNEL_EOF] = _note_eof
SSHChannel.eof_arrived = False


class Stream(asyncssh.SSHTCPSession):
    """The client's end of one forwarded connection.

    Reading is as fast as the owner lets it: ``on_data`` gets what arrives.

    :ivar eof: whether the target's end of stream arrived.
    :ivar closed: set when the channel is over.
    """

    def __init__(self, on_data):
        self.on_data = on_data
        self.closed = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()

    @property
    def eof(self):
        return self.channel.eof_arrived

    def connection_made(self, chan):
        self.channel = chan

    def data_received(self, data, datatype):
        self.on_data(data)

    def eof_received(self):
        return True  # the other direction goes on

    def connection_lost(self, exc):
        self.closed.set()
        self.writable.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()


async def log_in(world, login="alice", **options):
    """Connect to a world's pod, by the world's key."""
    return await asyncssh.connect(
        "127.0.0.1",
        world.gateway.ssh_port,
        username=login,
        client_keys=[str(world.key.path)],
        known_hosts=None,
        config=[],
        encryption_algs=["aes128-gcm@openssh.com"],
        keepalive_interval=0,
        **options,
    )


async def open_stream(connection, tunnel, port, on_data=lambda data: None, **options):
    """Open a channel to a tunnel.

    :raise asyncssh.ChannelOpenError: the pod refused it.
    """
    _, stream = await connection.create_connection(
        lambda: Stream(on_data), tunnel, port, encoding=None, **options
    )
    return stream
