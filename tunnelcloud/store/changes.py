"""The change feed: tells a pod of all changes, by any pod.

With SQLite all changes are this process's own.  With PostgreSQL they arrive by LISTEN in a thread
(a descriptor that the server may drop doesn't belong into the reactor), and whenever some may have
been missed, subscribers are told to read everything again.

That a connection is there doesn't prove that notices come by it: its server process may hang, or a
pooler stand in between.  So the feed sends itself a notice every second, and what it hears counts
from the last one that came back.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from tunnelcloud.store.engine import Store
from tunnelcloud.store.postgres import CHANNEL, SOCKET, PostgresBackend
from tunnelcloud.store.transaction import Change, Committed, Resync

if TYPE_CHECKING:
    from psycopg import Connection

Notice = Change | Resync
Subscriber = Callable[[Notice], None]

RESYNC_SECONDS = 60.0
_RETRY_SECONDS = 0.5
_TOLD_AGAIN_SECONDS = 60.0
"""It is tried twice a second; the log has a line a minute while it fails."""
_MAX_CHANGES = 100
_ECHO_SECONDS = 3.0
"""An echo that is out for longer than this is overdue: one is sent every second."""
_CUT_SECONDS = 8.0
"""Seconds without an echo after which the connection is given up, and another is made."""


class Reactor(IReactorTime, IReactorFromThreads):
    """What the feed needs of a reactor."""


class ChangeFeed:
    """Tells subscribers, in the reactor's thread, what changed in the store.

    :ivar healthy_since: the reactor's time since which no change was missed; None while changes
        may be missed.
    """

    log = Logger()

    def __init__(self, reactor: Reactor) -> None:
        self.healthy_since: float | None = None
        self._reactor = reactor
        self._down_since = reactor.seconds()
        self._subscribers: list[Subscriber] = []

    def start(self) -> None:
        """Begin to listen."""
        raise NotImplementedError

    def stop(self) -> Deferred[None]:
        """Listen no longer; fires when all is tidied up."""
        raise NotImplementedError

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call ``subscriber`` with each ``Change`` and ``Resync`` from now on.

        :return: call it to stop.
        """
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def down_for(self) -> float:
        """Return for how many seconds changes may have been missed; 0 while the feed is healthy."""
        if self.healthy_since is not None:
            return 0.0
        return self._reactor.seconds() - self._down_since

    def up_for(self) -> float:
        """Return for how many seconds no change can have been missed; 0 while some may be."""
        if self.healthy_since is None or self.down_for():
            return 0.0
        return self._reactor.seconds() - self.healthy_since

    def _up(self) -> None:
        self.healthy_since = self._reactor.seconds()
        self._deliver(Resync())

    def _down(self) -> None:
        if self.healthy_since is not None:
            self.healthy_since = None
            self._down_since = self._reactor.seconds()

    def _deliver(self, *notices: Notice) -> None:
        for notice in notices:
            for subscriber in tuple(self._subscribers):
                try:
                    subscriber(notice)
                except Exception:
                    self.log.failure("A subscriber to the change feed failed.")


class InProcessFeed(ChangeFeed):
    """For a database that nobody else writes to."""

    def __init__(self, store: Store, reactor: Reactor) -> None:
        super().__init__(reactor)
        self._store = store
        self._unlisten: Callable[[], None] | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._unlisten = self._store.listen(self._committed)
        self._up()

    def stop(self) -> Deferred[None]:
        """Listen no longer."""
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        self._down()
        return succeed(None)

    def _committed(self, committed: Committed) -> None:
        if len(committed.changes) > _MAX_CHANGES:
            self._reactor.callFromThread(self._deliver, Resync())
        elif committed.changes:
            self._reactor.callFromThread(self._deliver, *committed.changes)


class ListeningFeed(ChangeFeed):
    """For a PostgreSQL database."""

    def __init__(self, backend: PostgresBackend, reactor: Reactor) -> None:
        super().__init__(reactor)
        self._dsn = backend.dsn
        self._echo = f"{CHANNEL}_echo_{secrets.token_hex(8)}"
        self._echoed_at = self._down_since
        self._socket: socket.socket | None = None
        self._cut_from = 0.0
        self._watch: IDelayedCall | None = None
        self._stopping = threading.Event()
        self._stopped: Deferred[None] = Deferred()
        self._started = False
        self._told_at: float | None = None

    def start(self) -> None:
        """Begin to listen, in a thread of its own."""
        self._started = True
        self._look()
        threading.Thread(target=self._run, name="store-listen", daemon=True).start()

    def stop(self) -> Deferred[None]:
        """Listen no longer; fires when the thread is over."""
        self._stopping.set()
        return self._stopped if self._started else succeed(None)

    def down_for(self) -> float:
        """Say for how many seconds changes may have been missed: since the last echo."""
        if self.healthy_since is None:
            return super().down_for()
        silence = self._reactor.seconds() - self._echoed_at
        return silence if silence > _ECHO_SECONDS else 0.0

    def _down(self) -> None:
        if self.healthy_since is not None:
            self.healthy_since = None
            self._down_since = self._echoed_at

    # In the reactor's thread.

    def _heard_echo(self, first: bool) -> None:
        self._echoed_at = self._reactor.seconds()
        self._cut_from = self._echoed_at + _CUT_SECONDS
        if first:
            self._up()
            if self._told_at is not None:
                self._told_at = None
                self.log.info("Changes are heard again")

    def _failed(self, why: str) -> None:
        self._down()
        now = self._reactor.seconds()
        if self._told_at is None or now - self._told_at >= _TOLD_AGAIN_SECONDS:
            self._told_at = now
            self.log.warn(
                "The database can't be asked for changes, and is tried again: {why}", why=why
            )

    def _connected(self, duplicate: socket.socket) -> None:
        self._socket = duplicate
        self._cut_from = self._reactor.seconds() + _CUT_SECONDS

    def _disconnected(self, duplicate: socket.socket) -> None:
        self._socket = None
        duplicate.close()

    def _look(self) -> None:
        """Cut off a connection whose server process hangs; its thread would wait for ever."""
        self._watch = self._reactor.callLater(1, self._look)
        if self._socket is not None and self._reactor.seconds() > self._cut_from:
            self.log.warn("The database sends no changes: it is connected to anew")
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _over(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._down()
        self._stopped.callback(None)

    # In the feed's own.

    def _run(self) -> None:
        from psycopg import Error

        while not self._stopping.is_set():
            try:
                self._listen()
            except Error as error:
                self._reactor.callFromThread(self._failed, " ".join(str(error).split()))
                self._stopping.wait(_RETRY_SECONDS)
        self._reactor.callFromThread(self._over)

    def _listen(self) -> None:
        from psycopg import connect

        application = "tunnelcloud change feed"
        with (
            connect(
                self._dsn, autocommit=True, application_name=application, **SOCKET
            ) as connection,
            self._cuttable(connection),
        ):
            # No echo needs to survive the server.
            connection.execute("SET synchronous_commit = off")
            connection.execute(f"LISTEN {CHANNEL}")
            connection.execute(f"LISTEN {self._echo}")
            # NOTIFY is a hint: read everything again now and then.
            rounds = 0
            first = True
            while not self._stopping.is_set():
                connection.execute(f"NOTIFY {self._echo}")
                for notification in connection.notifies(timeout=1):
                    if notification.channel == self._echo:
                        self._reactor.callFromThread(self._heard_echo, first)
                        first = False
                    else:
                        notice = _read_notice(notification.payload)
                        self._reactor.callFromThread(self._deliver, notice)
                    if self._stopping.is_set():
                        return
                rounds += 1
                if rounds >= RESYNC_SECONDS:
                    rounds = 0
                    self._reactor.callFromThread(self._deliver, Resync())

    @contextmanager
    def _cuttable(self, connection: Connection[Any]) -> Iterator[None]:
        """Let the reactor's thread end a connection that this one waits for."""
        duplicate = socket.socket(fileno=os.dup(connection.fileno()))
        self._reactor.callFromThread(self._connected, duplicate)
        try:
            yield
        finally:
            self._reactor.callFromThread(self._disconnected, duplicate)


def _read_notice(payload: str) -> Notice:
    """Read what ``tunnelcloud.store.postgres.notice`` wrote; what it didn't may be anything."""
    words = payload.split(" ")
    if len(words) < 3 or words[2] not in ("0", "1"):
        return Resync()
    return Change(words[0], words[1], words[2] == "1", tuple(words[3:]))


def open_feed(store: Store, reactor: Reactor) -> ChangeFeed:
    """Make the change feed of a store; it has to be started."""
    if isinstance(store.backend, PostgresBackend):
        return ListeningFeed(store.backend, reactor)
    return InProcessFeed(store, reactor)
