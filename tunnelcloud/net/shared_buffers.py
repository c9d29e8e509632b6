"""Large buffers that connections need for moments, and share.

A buffer for each of thousands of connections would cost more memory than everything else they hold;
and a buffer that has just been used is still in the processor's cache.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

_KEPT = 4


class BufferPool(Generic[T]):
    """Hands out buffers and takes them back.

    :param make: makes one more.
    """

    __slots__ = ("_make", "_spare")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._spare: list[T] = []

    def take(self) -> T:
        """Return a buffer; it still holds the bytes of its last use."""
        return self._spare.pop() if self._spare else self._make()

    def give_back(self, buffer: T) -> None:
        """Take back a buffer that nobody uses any more."""
        if len(self._spare) < _KEPT:
            self._spare.append(buffer)
