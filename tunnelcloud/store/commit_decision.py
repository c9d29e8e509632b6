"""Whether a transaction is committed or given up: decided once, by whichever side is first.

The caller that waits for a transaction may give it up; the thread that runs it decides to commit.
The two exclude each other, so that nobody is told "nothing was changed" by a transaction that is
committed afterwards.
"""

from __future__ import annotations

from threading import Lock

from tunnelcloud.store.errors import GivenUp


class Fate:
    """The fate of one transaction; may be used in any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._is_given_up = False
        self._is_committed = False

    @property
    def is_given_up(self) -> bool:
        """Whether the transaction will never be committed."""
        return self._is_given_up

    def give_up(self) -> bool:
        """Give the transaction up.

        :return: False when it is too late: it was decided to commit.
        """
        with self._lock:
            self._is_given_up = not self._is_committed
            return self._is_given_up

    def check(self) -> None:
        """Look whether to go on.

        :raise GivenUp: nobody wants it any more.
        """
        if self._is_given_up:
            raise GivenUp

    def commit(self) -> None:
        """Decide to commit.

        :raise GivenUp: nobody wants that any more: roll back.
        """
        with self._lock:
            self.check()
            self._is_committed = True
