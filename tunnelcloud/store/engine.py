"""The store as the program sees it: functions go in, each runs in one transaction.

Which database it is shows here and in the change feed, nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from attrs import evolve, field, frozen

from tunnelcloud.store.backend import Backend, Listener
from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.errors import StateUnusable
from tunnelcloud.store.postgres import open_postgres
from tunnelcloud.store.sqlite import open_sqlite
from tunnelcloud.store.transaction import SYSTEM, Actor, Clock, Transaction

P = ParamSpec("P")
T = TypeVar("T")


@frozen
class Store:
    """A database that store functions run in.

    A store function takes a ``Transaction`` first.  Within it everything is read and written as
    one; when it raises, nothing of it stays.
    """

    backend: Backend = field(repr=False)
    actor: Actor = SYSTEM

    def acting(self, actor: Actor) -> Store:
        """Give the same store for what ``actor`` does: the audit names them."""
        return evolve(self, actor=actor)

    def write(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function in one transaction; when this returns, it is durable.

        Not for the reactor's thread, nor from within a store function.

        :raise StoreUnavailable: the database failed, and nothing was acknowledged.
        """
        return self.write_soon(function, *args, **kwargs).result()

    def write_soon(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        """Like ``write``, in the store's own threads; never blocks."""
        return self.write_unless(Fate(), function, *args, **kwargs)

    def write_unless(
        self,
        fate: Fate,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        """Like ``write_soon``, unless the transaction is given up before it is committed."""
        return self.backend.write_soon(self.actor, _bound(function, *args, **kwargs), fate)

    def read(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Run a function that only reads, on one consistent snapshot, in this thread.

        :raise StoreUnavailable: the database failed, or the function tried to write.
        """
        return self.backend.read(self.actor, _bound(function, *args, **kwargs))

    def read_soon(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        """Like ``read``, in the store's own threads; never blocks."""
        return self.backend.read_soon(self.actor, _bound(function, *args, **kwargs))

    def read_long_soon(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Future[T]:
        """Run a function that takes seconds, as ``read_soon`` does; no other read waits for it."""
        work = _bound(function, *args, **kwargs)
        return self.backend.read_soon(self.actor, work, is_long=True)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear, in any thread, of each commit of this process: its changes, its audit records.

        :return: call it to stop.
        """
        return self.backend.listen(listener)

    def check(self) -> None:
        """Look whether the database serves a pod for as long as it runs.  Blocks.

        :raise StateUnusable: with what to do.
        """
        self.backend.check()

    def close(self) -> None:
        """Finish what was begun and let go of the database.  Blocks; harmless when repeated."""
        self.backend.close()


def _bound(
    function: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs
) -> Callable[[Transaction], T]:
    def work(transaction: Transaction) -> T:
        return function(transaction, *args, **kwargs)

    return work


def open_store(
    url: str,
    state_directory: Path,
    *,
    random: Callable[[int], bytes] = os.urandom,
    clock: Clock | None = None,
    beside: str | None = None,
) -> Store:
    """Open a database, making it or bringing it up to date as needed.  Blocks.

    :param url: ``sqlite``, for a file in the state directory, or ``postgresql://…``.
    :param random: gives that many random bytes, for ids.
    :param clock: tells the time instead of the database's own clock; for tests.
    :param beside: the name of a pod that starts: it leaves a server's database as it is while other
        pods work with an older schema.
    :raise StateUnusable: with what to do; ``StateIsNewer``
        when a newer version wrote it.
    """
    if url == "sqlite":
        return Store(open_sqlite(state_directory, random=random, clock=clock))
    if url.startswith(("postgresql://", "postgres://")):
        return Store(open_postgres(url, random=random, clock=clock, beside=beside))
    raise StateUnusable('[database] url: use "sqlite" or "postgresql://user:password@host/name"')
