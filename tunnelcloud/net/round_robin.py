"""Who is served next: users take turns, so that nobody waits for all that another one asks for."""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from typing import Generic, TypeVar

CAUSER: ContextVar[str] = ContextVar("CAUSER", default="")
"""Who causes what the running coroutine has done, where it is known: a user, or an API token that
is nobody's."""

T = TypeVar("T")


class RoundRobin(Generic[T]):
    """What waits for a turn of a user.

    :param each: how many of each user's are served at a time.
    """

    def __init__(self, each: int = 1) -> None:
        self._each = each
        self._waiting: dict[str, dict[T, None]] = {}
        self._owners: dict[T, str] = {}
        self._served: dict[T, str] = {}

    def __bool__(self) -> bool:
        """Tell whether anything waits for a turn."""
        return bool(self._waiting)

    def load_of(self, user_id: str) -> int:
        """Count what waits for a user's turns, and what is being served in them."""
        served = sum(one == user_id for one in self._served.values())
        return len(self._waiting.get(user_id, ())) + served

    def add(self, user_id: str, one: T) -> None:
        """Have something wait for a user's turns; it waits for no others."""
        self._waiting.setdefault(user_id, {})[one] = None
        self._owners[one] = user_id

    def take(self) -> T | None:
        """Give what is to be served now; None while nobody has a turn."""
        served = Counter(self._served.values())
        user_id = next((one for one in self._waiting if served[one] < self._each), None)
        if user_id is None:
            return None
        one = next(iter(self._waiting[user_id]))
        self.drop(one)
        if user_id in self._waiting:
            self._waiting[user_id] = self._waiting.pop(user_id)  # behind the others
        self._served[one] = user_id
        return one

    def served(self, one: T) -> None:
        """Let its user have the next turn."""
        del self._served[one]

    def drop(self, one: T) -> None:
        """Let something wait no more, if it does."""
        user_id = self._owners.pop(one, None)
        if user_id is None:
            return
        waiting = self._waiting[user_id]
        del waiting[one]
        if not waiting:
            del self._waiting[user_id]
