"""Answers requests: within a time, while the client is there, and with an answer for failures.

A request that is out of time, or whose client is gone, is cancelled: what it has not committed is
rolled back.  If it has committed, its answer says so.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from tunnelcloud.pki.sealing import CannotUnseal
from tunnelcloud.store import errors
from tunnelcloud.store.asynchronous import DEEDS, Deeds
from tunnelcloud.web import problems
from tunnelcloud.web.problems import Problem

REQUEST_SECONDS = 30
_log = Logger()
_T = TypeVar("_T")


def too_late(deeds: Deeds) -> Problem:
    """Make the answer to a request that ran out of time; it says what was done already."""
    if deeds.is_unsure:
        text = "the database doesn't tell whether the change was made: look before you try again"
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, text)
    if deeds.committed:
        text = "the pod was interrupted after a change was made: look before you try again"
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, text)
    text = "the pod can't answer at the moment, and nothing was changed: try again shortly"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, text, headers={"Retry-After": "5"})


def as_problem(failure: Failure, deeds: Deeds) -> Problem | None:
    """Translate a handler's failure; None for a fault of the program's own.

    :param deeds: what was done before it failed, as ``too_late`` takes it.
    """
    error = failure.value
    problem = _problem_of(error, deeds)
    if problem is not None:
        _let_go_of_frames(error)
    return problem


def _let_go_of_frames(error: BaseException | None) -> None:
    """Forget which frames an error came through.

    They hold it, and all that they worked with: a ring that would stay until Python's collector of
    cycles comes by, and that one holds the whole program up.
    """
    while error is not None and error.__traceback__ is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _problem_of(error: BaseException | None, deeds: Deeds) -> Problem | None:
    if isinstance(error, Problem):
        return error
    if isinstance(error, errors.NotFound):
        return problems.not_found(str(error))
    if isinstance(error, errors.Conflict):
        return problems.conflict(error.field or "name", str(error))
    if isinstance(error, errors.InvalidReference):
        return problems.conflict(error.field, str(error))
    if isinstance(error, errors.BadDocument):
        return problems.conflicts(error.faults)
    if isinstance(error, errors.BadCursor):
        return problems.no_such_page(str(error))
    if isinstance(error, errors.Stale):
        return Problem(HTTPStatus.PRECONDITION_FAILED, str(error))
    if isinstance(error, CannotUnseal):
        return Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
    if isinstance(error, errors.StoreUnavailable | defer.TimeoutError):
        return too_late(deeds)
    return None


@define(eq=False)
class Answering:
    """One request that is being answered.

    :ivar deeds: what was committed for it so far.
    """

    clock: IReactorTime
    deeds: Deeds = field(factory=Deeds)
    _is_gone: bool = field(default=False, init=False)
    _timer: IDelayedCall = field(init=False)
    _working: Deferred[Any] | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self._timer = self.clock.callLater(REQUEST_SECONDS, self._cancel)

    def answer(
        self,
        request: Request,
        work: Coroutine[Any, Any, _T],
        failed: Callable[[Failure], _T],
        send: Callable[[_T], None],
    ) -> None:
        """Do the work, and send its result unless the client is gone.

        :param failed: makes an answer of what went wrong.
        """
        request.notifyFinish().addErrback(self._gone)
        counting = DEEDS.set(self.deeds)
        self._working = answering = Deferred.fromCoroutine(work)
        DEEDS.reset(counting)
        answering.addBoth(self._over, failed)
        answering.addCallback(lambda answer: None if self._is_gone else send(answer))
        answering.addErrback(lambda failure: _log.failure("An answer went lost", failure))

    def allow(self, seconds: float) -> None:
        """Give the work another time limit from now on, because of what is asked for."""
        self._timer.reset(seconds)

    def _gone(self, _: Failure) -> None:
        self._is_gone = True
        self._cancel()

    def _cancel(self) -> None:
        if self._working is not None:
            self._working.cancel()

    def _over(self, result: _T | Failure, failed: Callable[[Failure], _T]) -> _T | Failure:
        # What is over holds nothing of what it worked with.
        self._working = None
        if self._timer.active():
            self._timer.cancel()
        if not isinstance(result, Failure):
            return result
        if result.check(CancelledError):
            result = Failure(defer.TimeoutError())
        return failed(result)
