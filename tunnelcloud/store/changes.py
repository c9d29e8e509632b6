"""The change feed: tells a pod what is different, whoever changed it.

With SQLite all changes are this process's own.  With PostgreSQL they arrive by LISTEN in a thread
(a descriptor that the server may drop doesn't belong into the reactor), and whenever some may have
been missed, subscribers are told to read everything again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFromThreads, IReactorTime
from twisted.logger import Logger

from tunnelcloud.store.engine import Store
from tunnelcloud.store.postgres import CHANNEL, RESYNC, PostgresBackend
from tunnelcloud.store.transaction import Change, Committed, Resync

Notice = Change | Resync
Subscriber = Callable[[Notice], None]

RESYNC_SECONDS = 60.0
_RETRY_SECONDS = 0.5
_MAX_CHANGES = 100
_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 3000,
    "application_name": "tunnelcloud change feed",
}


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
        """Call C{subscriber} with each L{Change} and L{Resync} from now on.

        :return: call it to stop.
        """
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def down_for(self) -> float:
        """Say for how many seconds changes may have been missed; 0 while the feed is healthy."""
        if self.healthy_since is not None:
            return 0.0
        return self._reactor.seconds() - self._down_since

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
        self._stopping = threading.Event()
        self._stopped: Deferred[None] = Deferred()
        self._started = False

    def start(self) -> None:
        """Begin to listen, in a thread of its own."""
        self._started = True
        threading.Thread(target=self._run, name="store-listen", daemon=True).start()

    def stop(self) -> Deferred[None]:
        """Listen no longer; fires when the thread is over."""
        self._stopping.set()
        return self._stopped if self._started else succeed(None)

    def _run(self) -> None:
        from psycopg import Error

        while not self._stopping.is_set():
            try:
                self._listen()
            except Error as error:
                self._reactor.callFromThread(self._down)
                self.log.warn("The change feed is down: {error}", error=str(error).strip())
                self._stopping.wait(_RETRY_SECONDS)
        self._reactor.callFromThread(self._over)

    def _listen(self) -> None:
        from psycopg import connect

        with connect(self._dsn, autocommit=True, **_CONNECT) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            self._reactor.callFromThread(self._up)
            # NOTIFY is a hint: read everything again now and then.
            rounds = 0
            while not self._stopping.is_set():
                for notification in connection.notifies(timeout=1):
                    self._reactor.callFromThread(self._deliver, _read_notice(notification.payload))
                    if self._stopping.is_set():
                        return
                # A server that went without a word is noticed here.
                connection.execute("SELECT 1")
                rounds += 1
                if rounds >= RESYNC_SECONDS:
                    rounds = 0
                    self._reactor.callFromThread(self._deliver, Resync())

    def _over(self) -> None:
        self._down()
        self._stopped.callback(None)


def _read_notice(payload: str) -> Notice:
    kind, space, object_id = payload.partition(" ")
    return Change(kind, object_id) if space and payload != RESYNC else Resync()


def open_feed(store: Store, reactor: Reactor) -> ChangeFeed:
    """Make the change feed of a store; it has to be started."""
    if isinstance(store.backend, PostgresBackend):
        return ListeningFeed(store.backend, reactor)
    return InProcessFeed(store, reactor)
