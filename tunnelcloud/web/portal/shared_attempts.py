"""Failures to sign in, shared with the other pods: more pods give a guesser no more attempts.

A second's failures are one notice, or as many as fit; the rest goes with the next.  Who failed most
often goes first, so that nobody delays that by failing once each under thousands of names.  A
notice is a hint: what is lost on the way counts where it happened.
"""

from __future__ import annotations

import binascii
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from tunnelcloud.net.foreign_json import read_foreign_json
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.errors import StoreUnavailable
from tunnelcloud.store.transaction import Change, Resync, Transaction
from tunnelcloud.web.portal.password_attempts import Key, SignInAttempts

NOTICE_BYTES = 7000
"""Of a notice's words; PostgreSQL takes 8,000 bytes in all."""

_MOST_GATHERED = 10_000
_KIND = "sign_in_failures"
_FORGOTTEN = "!"


@define
class _Told:
    """What happened to one count since other pods were told.

    :ivar is_forgotten: whether it began again from nothing.
    :ivar failures: how many more there are, or fewer, since then.
    """

    is_forgotten: bool = False
    failures: int = 0

    @property
    def weight(self) -> tuple[bool, int]:
        """Tell how much it matters to other pods."""
        return self.is_forgotten, abs(self.failures)


class SharedAttempts:
    """Tells other pods of failures to sign in here, and this one of theirs.

    Its own notices it knows by a name that no other pod has.
    """

    def __init__(self, attempts: SignInAttempts, store: AsyncStore) -> None:
        self._attempts = attempts
        self._store = store
        self._own = secrets.token_hex(8)
        self._gathered: dict[Key, _Told] = {}
        attempts.listen(self._counted, self._forgotten)

    def send(self) -> Deferred[None]:
        """Tell what was gathered; called every second."""
        words: list[str] = []
        size = 0
        for key, told in sorted(self._gathered.items(), key=_weight, reverse=True):
            word = _written(key, told)
            size += len(word) + 1
            if size > NOTICE_BYTES:
                break
            del self._gathered[key]
            words.append(word)
        if not words:
            return succeed(None)
        telling = self._store.aside().write(_tell, self._own, words)
        return telling.addErrback(_untold)

    def lifting(self, source: str, name: str, *, codes: bool) -> Callable[[Transaction], None]:
        """Return the notice by which other pods forget the failures of one that is listed as
        slowed.

        This one forgets them by ``SignInAttempts.forgive``, once that is durable.
        """
        keys = self._attempts.keys_of(source, name, codes=codes)
        words = [_written(key, _Told(is_forgotten=True)) for key in keys]
        return lambda transaction: _tell(transaction, self._own, words)

    def changed(self, change: Change | Resync) -> None:
        """Take a notice from the change feed."""
        if not isinstance(change, Change) or change.kind != _KIND or change.id == self._own:
            return
        for word in change.concerns:
            found = _read(word)
            if found is None:
                continue
            key, told = found
            if told.is_forgotten:
                self._attempts.drop(key)
            self._attempts.count_elsewhere(key, told.failures)

    def _counted(self, key: Key, failures: int) -> None:
        told = self._of(key)
        told.failures += failures
        if not any(told.weight):
            del self._gathered[key]

    def _forgotten(self, key: Key) -> None:
        told = self._of(key)
        told.is_forgotten, told.failures = True, 0

    def _of(self, key: Key) -> _Told:
        if key not in self._gathered and len(self._gathered) >= _MOST_GATHERED:
            # What matters was sent before it grew old here.
            del self._gathered[next(iter(self._gathered))]
        return self._gathered.setdefault(key, _Told())


def _weight(gathered: tuple[Key, _Told]) -> tuple[bool, int]:
    return gathered[1].weight


def _untold(failure: Failure) -> None:
    """Ignore the failure: without the store no password is compared either."""
    failure.trap(StoreUnavailable)


def _tell(transaction: Transaction, own: str, words: Sequence[str]) -> None:
    transaction.changed(_KIND, own, decides=False, concerns=words)


def _written(key: Key, told: _Told) -> str:
    """Write a count's name and what happened to it, in letters that stand in a notice."""
    text = json.dumps(key, ensure_ascii=False).encode("utf-8", "backslashreplace")
    mark = _FORGOTTEN if told.is_forgotten else ""
    return f"{mark}{told.failures}={urlsafe_b64encode(text).decode().rstrip('=')}"


def _read(word: str) -> tuple[Key, _Told] | None:
    """Read what ``_written`` wrote; None for what another version did."""
    failures, _, name = word.partition("=")
    try:
        text = urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode("utf-8")
        parts = read_foreign_json(text)
        told = _Told(failures.startswith(_FORGOTTEN), int(failures.lstrip(_FORGOTTEN)))
    except (ValueError, binascii.Error):
        return None
    if not isinstance(parts, list) or not 1 <= len(parts) <= 3:
        return None
    return tuple(str(part) for part in parts), told
