"""The store for the reactor's thread: the same functions, answers as Deferreds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from contextvars import ContextVar
from time import monotonic
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorFromThreads, IReactorTime

from tunnelcloud.store.commit_decision import Fate
from tunnelcloud.store.engine import Store
from tunnelcloud.store.errors import OutcomeUnknown, StoreUnavailable, Trouble
from tunnelcloud.store.shared_reads import Doing, SideBySide, read_all
from tunnelcloud.store.transaction import Actor, Transaction

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = 60.0
"""Seconds after which nobody waits for an answer any more."""

OUTCOME_SECONDS = 10.0
"""How much longer the outcome of a commit that has begun is waited for."""


class Reactor(IReactorTime, IReactorFromThreads):
    """The store's interface of a reactor."""


@define
class Deeds:
    """What was done on somebody's behalf so far: an answer that it failed must not deny it.

    :ivar committed: how many transactions.
    :ivar is_unsure: whether the outcome of one can't be known.
    """

    committed: int = 0
    is_unsure: bool = False


DEEDS: ContextVar[Deeds | None] = ContextVar("DEEDS", default=None)
"""Counts what the running coroutine writes, where somebody counts."""


def _ignore(_: Any) -> None:
    """Do nothing."""


def _nobody(work: str, seconds: float, failed: bool) -> None:
    """Tell nobody."""


@frozen
class AsyncStore:
    """Runs store functions in the store's threads and answers in the reactor's.

    Every answer has a deadline.  After it, and after a cancellation, a function is never committed:
    it doesn't begin, or it is rolled back.  Only if the commit has begun already, the answer waits
    for its outcome, for at most ``OUTCOME_SECONDS``.

    :ivar deadline: seconds after which an answer fails with ``StoreUnavailable``.
    :ivar late: called in the reactor's thread with the result of a function whose outcome was told
        as unknown, and of a read after its deadline.
    :ivar write_failed: called in the reactor's thread when the database took no write.
    :ivar answered: told of each answer: ``"read"`` or ``"write"``, after how many seconds, and
        whether it was an error; called in the reactor's thread.
    :ivar check: runs first in each transaction that writes; what it raises is the answer.
    :ivar counts: whether writes count among the ``Deeds`` of whoever they are done for.
    """

    store: Store
    reactor: Reactor
    answered: Callable[[str, float, bool], object] = _nobody
    deadline: float = DEADLINE
    late: Callable[[Any], object] = _ignore
    write_failed: Callable[[StoreUnavailable], object] = _ignore
    check: Callable[[Transaction], object] | None = None
    counts: bool = True
    _side_by_side: SideBySide = field(factory=SideBySide)

    def acting(self, actor: Actor) -> AsyncStore:
        """Give the same store for what ``actor`` does: the audit names them."""
        return evolve(self, store=self.store.acting(actor))

    def checked(self, check: Callable[[Transaction], object]) -> AsyncStore:
        """Give the same store for what is written only while a check holds.

        :param check: raises what is the answer then.
        """
        return evolve(self, check=check)

    def within(self, seconds: float, late: Callable[[Any], object] = _ignore) -> AsyncStore:
        """Give the same store with another deadline."""
        return evolve(self, deadline=seconds, late=late)

    def aside(self) -> AsyncStore:
        """Give the same store for notes that no caller asked for, such as when a token was used."""
        return evolve(self, counts=False)

    def write(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run a function in one transaction; fires when it is durable."""
        fate, check = Fate(), self.check

        def work(transaction: Transaction) -> T:
            if check is not None:
                check(transaction)
            return function(transaction, *args, **kwargs)

        future = self.store.write_unless(fate, work)
        deeds = DEEDS.get() if self.counts else None
        deeds = deeds or Deeds()
        return _Answer(self, "write", future, fate, deeds, self.write_failed).begin()

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
        return _Answer(self, "read", future, Fate(), Deeds(), _ignore).begin()

    def read_long(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run a function that reads for seconds; it waits for others such, and nobody for it."""
        future = self.store.read_long_soon(function, *args, **kwargs)
        return _Answer(self, "read", future, Fate(), Deeds(), _ignore).begin()

    async def reading(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Read, like ``read``, once somebody waits for it: for ``together``."""
        return await self.read(function, *args, **kwargs)

    async def together(self, *doings: Doing) -> tuple[Any, ...]:
        """Run coroutines side by side; what they read at the same time is one transaction.

        :return: what they gave, in their order, once all have ended.
        :raise Exception: what the first of them, in their order, has raised.
        """
        return await self._side_by_side.run(doings, lambda reads: self.read(read_all, reads))


class _Told(Deferred[T]):
    """An answer that can't be cancelled any more when its commit has begun."""

    def __init__(self, may_cancel: Callable[[], bool]) -> None:
        super().__init__()
        self._may_cancel: Callable[[], bool] | None = may_cancel

    def cancel(self) -> None:
        """Give up, if nothing is changed then."""
        if self.called or self._may_cancel is None or self._may_cancel():
            super().cancel()

    def settle(self) -> None:
        """Ask nobody any more: it is known what came of it."""
        self._may_cancel = None


@define(eq=False)
class _Answer(Generic[T]):
    """Joins what a thread of the store will give to a Deferred.

    It lets go of both once they are joined: a ring of them, with all the rows that were read, would
    stay until the collector of cycles comes by, and that one holds the whole program up.
    """

    _store: AsyncStore
    _work: str
    _future: Future[T] | None
    _fate: Fate
    _deeds: Deeds
    _failed: Callable[[StoreUnavailable], object]
    _began: float = field(factory=monotonic)
    _deferred: _Told[T] | None = None
    _timeout: IDelayedCall | None = None
    _waits_for_outcome: bool = False

    def begin(self) -> Deferred[T]:
        """Wait from now on."""
        assert self._future is not None, "it waits for this"
        self._deferred = deferred = _Told[T](self._may_cancel)
        reactor = self._store.reactor
        self._timeout = reactor.callLater(self._store.deadline, self._too_late)
        self._future.add_done_callback(lambda _: reactor.callFromThread(self._fire))
        return deferred

    def _may_cancel(self) -> bool:
        if self._give_up():
            return True
        if not self._waits_for_outcome and self._timeout is not None:
            # The commit is under way: it is soon known what came of it.
            self._waits_for_outcome = True
            self._timeout.reset(OUTCOME_SECONDS)
        return False

    def _give_up(self) -> bool:
        given_up = self._fate.give_up()
        if given_up and self._future is not None:
            self._future.cancel()
        return given_up

    def _too_late(self) -> None:
        self._timeout = None
        deferred, store = self._deferred, self._store
        if deferred is None or deferred.called:
            return
        text = f"the database takes too long: no answer within {store.deadline:g} s"
        if self._give_up():
            deferred.errback(StoreUnavailable(text, Trouble.SLOW))
        elif self._waits_for_outcome:
            self._deeds.is_unsure = True
            deferred.errback(OutcomeUnknown(text, Trouble.SLOW))
        else:
            self._waits_for_outcome = True
            self._timeout = store.reactor.callLater(OUTCOME_SECONDS, self._too_late)

    def _fire(self) -> None:
        future, self._future = self._future, None
        deferred, self._deferred = self._deferred, None
        timeout, self._timeout = self._timeout, None
        assert future is not None, "it fires once"
        assert deferred is not None, "it is kept until then"
        deferred.settle()
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
            self._deeds.committed += 1
            deferred.callback(future.result())
        else:
            self._deeds.is_unsure |= isinstance(error, OutcomeUnknown)
            deferred.errback(error)
