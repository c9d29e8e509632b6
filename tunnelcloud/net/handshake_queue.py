"""Computes the handshakes that clients ask for, of SSH and TLS, one at a time; users take turns.

A client may ask for new keys whenever it likes.  Finite-field groups and RSA make that cost the pod
ten milliseconds and the client nothing, so whoever has many sessions could hold up everybody else.
Agreed with one session, the pod leaves its reactor three times as long to all other work.  Before
the login the networks take turns that clients come from.  The same holds for handshakes of TLS, of
which a few hundred may come at once: from a stranger, or when all connectors come back.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from tunnelcloud.net.round_robin import RoundRobin

PAUSE = 3.0
"""So an open port without a login costs all others a quarter of the reactor's time at most."""

Work = Callable[[], object]


class HandshakeQueue:
    """The computations of new keys that wait, of all sessions or of all connections of TLS.

    :param clock: the reactor's.
    :param pause: how many times as long as the last computation the pod does other things before
        the next.
    """

    def __init__(self, clock: IReactorTime, pause: float = PAUSE) -> None:
        self._clock = clock
        self._pause = pause
        self._turns = RoundRobin[Work]()
        self._call: IDelayedCall | None = None
        self._free_at = float("-inf")
        self._is_computing = False

    def ask(self, user_id: str, work: Work) -> None:
        """Compute keys: at once while nobody else does, else in the user's turn."""
        is_free = self._call is None and not self._is_computing
        if is_free and self._clock.seconds() >= self._free_at:
            self._compute(work)
            return
        self._turns.add(user_id, work)
        if is_free:
            self._wait()

    def forget(self, work: Work) -> None:
        """Compute nothing for a connection that is over; without effect if that was done."""
        self._turns.drop(work)
        if self._call is not None and not self._turns:
            self._call.cancel()
            self._call = None

    def _compute(self, work: Work) -> None:
        began = self._clock.seconds()
        self._is_computing = True
        try:
            work()
        finally:
            self._is_computing = False
            ended = self._clock.seconds()
            self._free_at = ended + self._pause * (ended - began)
            if self._turns and self._call is None:
                self._wait()

    def _wait(self) -> None:
        left = self._free_at - self._clock.seconds()
        self._call = self._clock.callLater(max(0.0, left), self._next)

    def _next(self) -> None:
        self._call = None
        work = self._turns.take()
        if work is not None:
            self._turns.served(work)
            self._compute(work)
