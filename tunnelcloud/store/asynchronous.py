"""The store for the reactor's thread: the same functions, answers as Deferreds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import Concatenate, ParamSpec, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

from tunnelcloud.store.engine import Store
from tunnelcloud.store.transaction import Actor, Transaction

P = ParamSpec("P")
T = TypeVar("T")


def _nobody(work: str, seconds: float, failed: bool) -> None:
    """Tell nobody."""


@frozen
class AsyncStore:
    """Runs store functions in the store's threads and answers in the reactor's.

    A Deferred that is cancelled is forgotten; its function may still run.

    :ivar answered: told of each answer: ``"read"`` or ``"write"``, after how many seconds, and
        whether it was an error; called in the reactor's thread.
    """

    store: Store
    reactor: IReactorFromThreads
    answered: Callable[[str, float, bool], object] = _nobody

    def acting(self, actor: Actor) -> AsyncStore:
        """Give the same store for what C{actor} does: the audit names them."""
        return evolve(self, store=self.store.acting(actor))

    def write(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run a function in one transaction; fires when it is durable."""
        return self._deferred("write", self.store.write_soon(function, *args, **kwargs))

    def read(
        self,
        function: Callable[Concatenate[Transaction, P], T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Deferred[T]:
        """Run a function that only reads, on one consistent snapshot."""
        return self._deferred("read", self.store.read_soon(function, *args, **kwargs))

    def _deferred(self, work: str, future: Future[T]) -> Deferred[T]:
        began = monotonic()
        deferred: Deferred[T] = Deferred(lambda _: None)

        def fire() -> None:
            error = future.exception()
            self.answered(work, monotonic() - began, error is not None)
            if deferred.called:
                return
            if error is None:
                deferred.callback(future.result())
            else:
                deferred.errback(error)

        future.add_done_callback(lambda _: self.reactor.callFromThread(fire))
        return deferred
