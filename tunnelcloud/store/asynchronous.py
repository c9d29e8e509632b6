"""The store for the reactor's thread: the same functions, answers as Deferreds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime

from tunnelcloud.store.engine import Store
from tunnelcloud.store.errors import StoreUnavailable, Trouble
from tunnelcloud.store.side_by_side import Doing, SideBySide, read_all
from tunnelcloud.store.transaction import Actor, Transaction

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = 60.0
"""Seconds after which nobody waits for an answer any more."""


class Reactor(IReactorTime, IReactorFromThreads):
    """What the store needs of a reactor."""


def _ignore(_: Any) -> None:
    """Do nothing."""


def _nobody(work: str, seconds: float, failed: bool) -> None:
    """Tell nobody."""


@frozen
class AsyncStore:
    """Runs store functions in the store's threads and answers in the reactor's.

    Every answer has a deadline.  After it, and after a cancellation, a function that has not begun
    never runs; one that has may still be committed.

    :ivar deadline: seconds after which an answer fails with L{StoreUnavailable}.
    :ivar late: called in the reactor's thread with what a function gave after its deadline.
    :ivar write_failed: called in the reactor's thread when the database took no write.
    :ivar answered: told of each answer: ``"read"`` or ``"write"``, after how many seconds, and
        whether it was an error; called in the reactor's thread.
    """

    store: Store
    reactor: Reactor
    answered: Callable[[str, float, bool], object] = _nobody
    deadline: float = DEADLINE
    late: Callable[[Any], object] = _ignore
    write_failed: Callable[[StoreUnavailable], object] = _ignore
    _side_by_side: SideBySide = field(factory=SideBySide)

    def acting(self, actor: Actor) -> AsyncStore:
        """Give the same store for what C{actor} does: the audit names them."""
        return evolve(self, store=self.store.acting(actor))

    def within(self, seconds: float, late: Callable[[Any], object] = _ignore) -> AsyncStore:
        """Give the same store with another deadline."""
        return evolve(self, deadline=seconds, late=late)

    def write(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run a function in one transaction; fires when it is durable."""
        future = self.store.write_soon(function, *args, **kwargs)
        return self._deferred("write", future, self.write_failed)

    def read(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run a function that only reads, on one consistent snapshot."""
        shared = self._side_by_side.gather(
            lambda transaction: function(transaction, *args, **kwargs)
        )
        if shared is not None:
            return shared
        future = self.store.read_soon(function, *args, **kwargs)
        return self._deferred("read", future, _ignore)

    async def reading(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Read, like L{read}, once somebody waits for it: for L{together}."""
        return await self.read(function, *args, **kwargs)

    async def together(self, *doings: Doing) -> tuple[Any, ...]:
        """Run coroutines side by side; what they read at the same time is one transaction.

        :return: what they gave, in their order, once all have ended.
        :raise Exception: what the first of them, in their order, has raised.
        """
        return await self._side_by_side.run(doings, lambda reads: self.read(read_all, reads))

    def _deferred(
        self, work: str, future: Future[T], failed: Callable[[StoreUnavailable], object]
    ) -> Deferred[T]:
        return _Answer(self, work, future, failed).begin()


@define(eq=False)
class _Answer(Generic[T]):
    """Joins what a thread of the store will give to a Deferred.

    It lets go of both once they are joined: a ring of them, with all the rows that were read, would
    stay until the collector of cycles comes by, and that one holds the whole program up.
    """

    _store: AsyncStore
    _work: str
    _future: Future[T] | None
    _failed: Callable[[StoreUnavailable], object]
    _began: float = field(factory=monotonic)
    _deferred: Deferred[T] | None = None
    _timeout: IDelayedCall | None = None

    def begin(self) -> Deferred[T]:
        """Wait from now on."""
        assert self._future is not None, "it waits for this"
        self._deferred = deferred = Deferred[T](self._cancelled)
        reactor = self._store.reactor
        self._timeout = reactor.callLater(self._store.deadline, self._give_up)
        self._future.add_done_callback(lambda _: reactor.callFromThread(self._fire))
        return deferred

    def _cancelled(self, _: Deferred[T]) -> None:
        if self._future is not None:
            self._future.cancel()

    def _give_up(self) -> None:
        self._timeout = None
        deferred, store = self._deferred, self._store
        if self._future is not None:
            self._future.cancel()
        if deferred is None or deferred.called:
            return
        text = f"the database takes too long: no answer within {store.deadline:g} s"
        deferred.errback(StoreUnavailable(text, Trouble.SLOW))

    def _fire(self) -> None:
        future, self._future = self._future, None
        deferred, self._deferred = self._deferred, None
        timeout, self._timeout = self._timeout, None
        assert future is not None, "it fires once"
        assert deferred is not None, "it is kept until then"
        if timeout is not None:
            timeout.cancel()
        if future.cancelled():
            return
        error = future.exception()
        self._store.answered(self._work, monotonic() - self._began, error is not None)
        if isinstance(error, StoreUnavailable):
            self._failed(error)
        if deferred.called:
            if error is None:
                self._store.late(future.result())
        elif error is None:
            deferred.callback(future.result())
        else:
            deferred.errback(error)
