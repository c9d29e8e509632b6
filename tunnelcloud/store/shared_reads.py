"""Coroutines side by side, whose reads share transactions.

A page needs many things of the store at once.  Each is asked for by a function that knows nothing
of the others; here those that ask at the same time get their answers from one transaction, so that
they also see one state.  The number of transactions is the longest chain of questions of which one
needs the other's answer, however many questions there are.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define
from sqlalchemy.exc import SQLAlchemyError
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.python.failure import Failure

from tunnelcloud.store.transaction import Transaction

Read = Callable[[Transaction], Any]
Doing = Coroutine[Deferred[Any], Any, Any]
_Waiting = list[tuple[Read, Deferred[Any]]]
_ReadAll = Callable[[Iterable[Read]], Deferred[list[Any]]]


@define(eq=False)
class SideBySide:
    """Gathers reads while coroutines are started or go on, which takes no time.

    :ivar _waiting: what was asked for meanwhile; None at any other time.
    """

    _waiting: _Waiting | None = None

    def gather(self, read: Read) -> Deferred[Any] | None:
        """Keep a read for the next shared transaction; None when there is none to come."""
        if self._waiting is None:
            return None
        answer: Deferred[Any] = Deferred()
        self._waiting.append((read, answer))
        return answer

    async def run(self, doings: Iterable[Doing], read_all: _ReadAll) -> tuple[Any, ...]:
        """Run coroutines to their ends; the first failure, in their order, is raised then."""
        with self._gathering() as waiting:
            running = [Deferred.fromCoroutine(one) for one in doings]
        while waiting:
            reads, answers = zip(*waiting, strict=True)
            try:
                found = await read_all(reads)
            except CancelledError:
                DeferredList(running, consumeErrors=True).cancel()
                raise
            except Exception:
                found = [Failure()] * len(reads)
            with self._gathering() as waiting:
                for answer, one in zip(answers, found, strict=True):
                    answer.callback(one)
        ended = await DeferredList(running, consumeErrors=True)
        for succeeded, outcome in ended:
            if not succeeded:
                outcome.raiseException()
        return tuple(outcome for _, outcome in ended)

    @contextmanager
    def _gathering(self) -> Iterator[_Waiting]:
        """Gather what is asked for; within another one, for that one."""
        outer, waiting = self._waiting, _Waiting()
        if outer is None:
            self._waiting = waiting
        try:
            yield waiting
        finally:
            self._waiting = outer


def read_all(transaction: Transaction, reads: Iterable[Read]) -> list[Any]:
    """Read in one transaction; what fails gives its failure, and the others their answers."""
    found = []
    for read in reads:
        try:
            found.append(read(transaction))
        except SQLAlchemyError:
            raise
        except Exception:
            found.append(Failure())
    return found
