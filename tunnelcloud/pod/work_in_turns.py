"""Long work in turns: a little at a time, and the reactor serves everybody else in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

T = TypeVar("T")

SLICE_SECONDS = 0.001
STEPS = 64
"""Steps that one turn takes at most, however fast the clock says they are."""


class Turns:
    """Shares the reactor's thread between pieces of long work and everybody else."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._cooperator = Cooperator(
            terminationPredicateFactory=self._slice,
            scheduler=lambda call: clock.callLater(0, call),
        )

    def run(self, steps: Iterator[Deferred[None] | None]) -> Deferred[None]:
        """Go through ``steps``; each is to take about 0.1 ms at most.

        A step may give what the next one waits for.

        :return: fires when they are over, or fails as a step does; a cancellation stops them.
        """
        task = self._cooperator.cooperate(steps)
        over: Deferred[None] = Deferred(lambda _: task.stop())
        task.whenDone().addCallbacks(lambda _: over.callback(None), over.errback)
        return over

    def map(self, make: Callable[[Any], T], things: Iterable[Any]) -> Deferred[Sequence[T]]:
        """Make something of each thing; what takes one turn at most is made at once."""
        given = list(things)
        if len(given) <= STEPS:
            return succeed([make(one) for one in given])
        made: list[T] = []

        def steps() -> Iterator[None]:
            for one in given:
                made.append(make(one))
                yield

        return self.run(steps()).addCallback(lambda _: made)

    def _slice(self) -> Callable[[], bool]:
        until = self._clock.seconds() + SLICE_SECONDS
        left = STEPS

        def over() -> bool:
            nonlocal left
            left -= 1
            return left <= 0 or self._clock.seconds() >= until

        return over
