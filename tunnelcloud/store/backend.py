"""The interface that SQLite and PostgreSQL share for running store functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection, Engine
from twisted.logger import Logger

from tunnelcloud.interpreter_lock import in_turn
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.failures import database_errors
from tunnelcloud.store.threads_in_turns import ThreadsInTurns
from tunnelcloud.store.transaction import Actor, Clock, Committed, IdSource, Transaction

T = TypeVar("T")
Work = Callable[[Transaction], T]
Listener = Callable[[Committed], None]


class Backend(ABC):
    """Runs functions in transactions; knows one kind of database.

    :ivar ids: makes the ids of what this process writes.
    """

    log = Logger()

    def __init__(
        self, readers: Engine, reader_threads: int, clock: Clock, random: Callable[[int], bytes]
    ) -> None:
        self._readers = readers
        self._clock = clock
        self.ids = IdSource(random)
        self._reading = ThreadsInTurns(reader_threads, "store-read")
        self._reading_long = ThreadsInTurns(1, "store-long")
        self._listeners: list[Listener] = []

    @abstractmethod
    def write_soon(self, actor: Actor, work: Work[T], fate: Fate) -> Future[T]:
        """Run ``work`` in a transaction; the future fires after its commit.

        :param fate: decides, at the last moment, whether it is committed.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish running functions, refuse further ones and close the database."""

    def check(self) -> None:
        """Look whether the database serves a pod for as long as it runs.  Blocks.

        :raise StateUnusable: with what to do.
        """

    def read(self, actor: Actor, work: Work[T]) -> T:
        """Run ``work`` on a consistent snapshot, in the calling thread; it can't write."""
        with database_errors(), self._readers.begin() as connection:
            return work(self.transaction(connection, actor, only_reads=True))

    def read_soon(self, actor: Actor, work: Work[T], *, is_long: bool = False) -> Future[T]:
        """Run ``work`` on a consistent snapshot, in a thread, in the turn of whoever causes it.

        :param is_long: it takes seconds: it waits for others such, and nobody else for it.
        """
        threads = self._reading_long if is_long else self._reading
        try:
            return threads.submit(partial(self._read_in_turn, actor, work))
        except RuntimeError:
            return failed(StoreUnavailable("the store is closed"))

    def _read_in_turn(self, actor: Actor, work: Work[T]) -> T:
        with in_turn():
            return self.read(actor, work)

    def transaction(
        self, connection: Connection, actor: Actor, *, only_reads: bool = False
    ) -> Transaction:
        """Give a store function what it works with."""
        return Transaction(connection, actor, self._clock, self.ids, only_reads)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener``, in any thread, after each commit of this process.

        :return: call it to stop.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, committed: Committed) -> None:
        """Tell the listeners of this process what was committed."""
        if not (committed.changes or committed.records):
            return
        for listener in tuple(self._listeners):
            try:
                listener(committed)
            except Exception:
                self.log.failure("A listener to the store failed.")

    def close_readers(self) -> None:
        """Wait for readers and close their connections."""
        for threads in (self._reading, self._reading_long):
            threads.close()
        self._readers.dispose()


def failed(error: Exception) -> Future[T]:
    """Give a future that failed already."""
    future: Future[T] = Future()
    future.set_exception(error)
    return future
