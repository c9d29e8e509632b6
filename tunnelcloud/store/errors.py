"""The store's errors.

Callers map these once: to an HTTP status, an exit status or a line in the log.  Every text says
what to do; none holds a secret or a database's address.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

_SHOWN = 320
"""As many characters of what was asked for are repeated; no name here is longer."""


class StoreError(Exception):
    """Anything the store refuses or can't do."""


class NotFound(StoreError):
    """There is no such object."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {words(kind)} {name[:_SHOWN]!r}")
        self.kind = kind
        self.name = name


class Conflict(StoreError):
    """The change conflicts with existing objects: a name is taken, an object is in use.

    :ivar field: the field to change, ``""`` for the object itself.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class InvalidReference(StoreError):
    """A field names an object that isn't there."""

    def __init__(self, field: str, kind: str, value: str) -> None:
        super().__init__(f"there is no {words(kind)} {value[:_SHOWN]!r}")
        self.field = field
        self.kind = kind
        self.value = value


class BadDocument(StoreError):
    """A document can't be applied as it is.

    :ivar faults: each place in it, as a path such as ``tunnels.db.site``, and what is wrong there.
    """

    def __init__(self, faults: Iterable[tuple[str, str]]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(f"{path}: {message}" for path, message in self.faults))


class Stale(StoreError):
    """The object was changed since its reader read it."""

    def __init__(self, kind: str, object_id: str) -> None:
        super().__init__(f"the {words(kind)} was changed meanwhile: read it again, then change it")
        self.kind = kind
        self.object_id = object_id


class BadCursor(StoreError):
    """A page was asked for with a cursor that this list didn't give out."""

    def __init__(self) -> None:
        super().__init__("the cursor doesn't belong to this list: start again without one")


class BadValue(Conflict):
    """The database can't keep a value, such as a text with a zero byte."""

    def __init__(self, said: str) -> None:
        super().__init__("", f"the database can't keep a value: {said}")


class Trouble(StrEnum):
    """In what way a database can't be used, in words that anybody may read."""

    GONE = "the database can't be reached"
    READ_ONLY = "the database takes no writes, as a standby does"
    FULL = "the database has no room left on its disk"
    SLOW = "the database takes too long"
    OTHER = "the database can't be used at the moment"


class StoreUnavailable(StoreError):
    """The database can't be used at the moment, and nothing of the transaction was committed.

    ``OutcomeUnknown`` alone leaves that open.

    :ivar trouble: in what way.
    """

    def __init__(self, message: str = "", trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(message)
        self.trouble = trouble


class OutcomeUnknown(StoreUnavailable):
    """The database can't be used, and whether it has committed a transaction can't be known."""


class LimitReached(StoreError):
    """A user has as much open on all pods as a policy allows; the text says so."""


class GivenUp(StoreError):
    """Nobody waits for the transaction any more: it was rolled back."""

    def __init__(self) -> None:
        super().__init__("the change was given up before it was made: nothing was changed")


class StateUnusable(StoreError):
    """The state can't be opened as it is; the text says what to do."""


class StateIsNewer(StateUnusable):
    """The state was written by a newer version than this program."""

    def __init__(self, where: str, revision: str) -> None:
        super().__init__(
            f"{where} was written by a newer TunnelCloud (schema {revision}): "
            "install that version again, or restore a backup made before the upgrade"
        )


class OthersAtWork(StateUnusable):
    """Pods of another version work with a database that has an older schema than this program's."""

    def __init__(self, where: str, present: str, wanted: str, names: Iterable[str]) -> None:
        super().__init__(
            f"{where} has schema {present}, this version needs {wanted}, and other pods work with "
            f"it: {', '.join(names)}: bring it up to date with `tunnelcloud db upgrade --config "
            "FILE` (pods of the version before go on), then start this pod again"
        )


def words(kind: str) -> str:
    """Write a kind of object as people do: ``api_token`` is an API token."""
    return kind.replace("_", " ").replace("api ", "API ")
