"""A pod that is told to stop leaves books that say how everything ended."""

import asyncio
import signal
import sqlite3

import asyncssh
from twisted.trial.unittest import SynchronousTestCase

from tests.integration.processes import run_async
from tests.integration.worlds import EchoWorld
from tunnelcloud.pod.live_session import SHUTDOWN_REASON
from tunnelcloud.store.sqlite_files import FILE_NAME

SESSIONS = 6
PIECE = 100_000


class ShutdownTests(SynchronousTestCase):
    def setUp(self):
        self.world = EchoWorld()
        self.addCleanup(self.world.close)

    def rows(self, statement):
        with sqlite3.connect(self.world.gateway.state / FILE_NAME) as connection:
            return connection.execute(statement).fetchall()

    async def stop_amid_work(self):
        """Have sessions that are idle, that are busy, and some that end just now; then stop."""
        world = self.world
        connections = []
        busy = []

        async def log_in():
            connection = await asyncssh.connect(
                "127.0.0.1", world.gateway.ssh_port, username="alice", known_hosts=None,
                config=None, agent_path=None, client_keys=[str(world.key.path)],
            )  # fmt: skip
            reader, writer = await connection.open_connection("echo", world.echo.port)
            writer.write(b"x" * PIECE)
            await reader.readexactly(PIECE)
            return connection, reader, writer

        async def pump(reader, writer):
            try:
                while True:
                    writer.write(b"y" * PIECE)
                    await reader.readexactly(PIECE)
            except (OSError, EOFError, asyncssh.Error):
                pass

        for number in range(SESSIONS):
            connection, reader, writer = await log_in()
            connections.append(connection)
            if number % 3 == 0:
                writer.close()
                await writer.wait_closed()
            elif number % 3 == 1:
                busy.append(asyncio.create_task(pump(reader, writer)))
        leaving, _, _ = await log_in()
        leaving.abort()
        status = await asyncio.to_thread(world.gateway.process.stop)
        await asyncio.gather(*busy)
        for connection in connections:
            connection.abort()
        return status

    async def signal_amid_a_stream(self):
        """Send the signals that end a program without a handler; the stream goes on."""
        world = self.world
        async with asyncssh.connect(
            "127.0.0.1", world.gateway.ssh_port, username="alice", known_hosts=None,
            config=None, agent_path=None, client_keys=[str(world.key.path)],
        ) as connection:  # fmt: skip
            reader, writer = await connection.open_connection("echo", world.echo.port)
            for process in (world.connector.process, world.gateway.process):
                for number in (signal.SIGHUP, signal.SIGUSR1):
                    process.process.send_signal(number)
            await asyncio.to_thread(world.connector.process.wait_for, "reloads nothing")
            writer.write(b"x" * PIECE)
            return await reader.readexactly(PIECE)

    def test_a_hangup_ends_neither_pod_nor_connector(self):
        self.assertEqual(run_async(self.signal_amid_a_stream()), b"x" * PIECE)
        for process in (self.world.connector.process, self.world.gateway.process):
            self.assertIsNone(process.process.poll())

    def test_all_records_are_closed_with_their_bytes_and_the_reason(self):
        self.assertEqual(run_async(self.stop_amid_work()), -signal.SIGTERM)
        found = self.rows(
            "SELECT ended_at IS NULL, end_reason, bytes_to_target, bytes_from_target FROM sessions"
        )
        self.assertEqual(len(found), SESSIONS + 1)
        for still_open, reason, to_target, from_target in found:
            self.assertFalse(still_open)
            self.assertTrue(reason)
            self.assertGreaterEqual(to_target, PIECE)
            self.assertGreaterEqual(from_target, PIECE)
        self.assertEqual(sum(reason == SHUTDOWN_REASON for _, reason, _, _ in found), SESSIONS)
        found = self.rows("SELECT closed_at IS NULL, bytes_to_target FROM channels")
        self.assertEqual(len(found), SESSIONS + 1)
        for still_open, to_target in found:
            self.assertFalse(still_open)
            self.assertGreaterEqual(to_target, PIECE)
