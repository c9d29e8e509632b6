"""How the domain's values stand in columns, alike in SQLite and PostgreSQL.

Times are whole milliseconds since the epoch; small structures are JSON in text.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

from tunnelcloud.domain.entities import ID_PREFIXES, Method, new_id, read_id, write_id
from tunnelcloud.domain.objects.sites import PortRange
from tunnelcloud.domain.schedule import Window, read_window

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ENDED = EPOCH
"""When what is ended before its time expires: no clock that goes back makes it good again."""

_MILLISECOND = timedelta(milliseconds=1)

Ordered = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that sorts by its characters' codes on either database."""


def to_milliseconds(moment: datetime) -> int:
    """Count the whole milliseconds from the epoch to an aware time."""
    return (moment - EPOCH) // _MILLISECOND


def from_milliseconds(milliseconds: int) -> datetime:
    """Return the time in UTC for milliseconds since the epoch."""
    return EPOCH + milliseconds * _MILLISECOND


_LAST_MILLISECOND = 2**48 - 1
"""The largest time in an id; times before the epoch have none."""


def first_id(kind: str, moment: datetime) -> str:
    """Give the id before any that was made at a time: ids are indexed, and sort by time."""
    return new_id(kind, min(max(to_milliseconds(moment), 0), _LAST_MILLISECOND), bytes)


E = TypeVar("E", bound=enum.StrEnum)

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


_MOST_WRITTEN = 4096
"""How many ids are kept as text, so that rows of the same user, session or pod share it."""


@lru_cache(_MOST_WRITTEN)
def _written(prefix: str, kept: bytes | str) -> str:
    return write_id(prefix, kept) if type(kept) is bytes else str(kept)


class ObjectId(TypeDecorator[str]):
    """An id.  SQLite keeps its 16 bytes, PostgreSQL its text.

    A column has ids of one kind, whose prefix the bytes lack.  Text that isn't such an id stays as
    it is; SQLite sorts it before all ids.

    :param kind: a key of ``ID_PREFIXES``.
    """

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok = True

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.prefix = ID_PREFIXES[kind]

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        """Give what makes of an id what the database keeps."""
        if dialect.name != "sqlite":
            return None
        start = f"{self.prefix}_"

        def keep(value: str | None) -> bytes | str | None:
            if value is None or not value.startswith(start):
                return value
            return read_id(value) or value

        return keep

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any] | None:
        """Give what makes of a kept value what the program reads: nothing is called around it."""
        if dialect.name != "sqlite":
            return None
        prefix = self.prefix
        return lambda value: None if value is None else _written(prefix, value)


class OwnId(ObjectId):
    """The id of a row itself, by which lists are in order."""

    impl = Ordered
    cache_ok = True


class Timestamp(TypeDecorator[datetime]):
    """An aware time in UTC, kept as milliseconds since the epoch."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Give what the database keeps."""
        return None if value is None else to_milliseconds(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Give what makes of a kept value what the program reads: nothing is called around it."""
        return lambda value: None if value is None else from_milliseconds(value)


def member_of(members: type[E], value: str) -> E:
    """Give a member of an enumeration by its value.

    A pod of a newer version may have written a value that this one doesn't know.  It is read as a
    member that equals none of the others: what is listed is shown as it is, and what decides has to
    name the members that it lets through.
    """
    try:
        return members(value)
    except ValueError:
        newer = str.__new__(members, value)
        newer._name_ = newer._value_ = value
        return newer


class Choice(TypeDecorator[enum.StrEnum]):
    """A member of an enumeration, kept as its value."""

    impl = Text
    cache_ok = True

    def __init__(self, members: type[enum.StrEnum]) -> None:
        super().__init__()
        self.members = members

    def process_bind_param(self, value: enum.StrEnum | None, dialect: Dialect) -> str | None:
        """Give what the database keeps."""
        return None if value is None else str(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Give what makes of a kept value what the program reads: nothing is called around it."""
        known = {one.value: one for one in self.members}
        return lambda value: (
            None if value is None else known.get(value) or member_of(self.members, value)
        )


_SHARED = 256
"""How many different values of a column are kept to be shared."""


class Encoded(TypeDecorator[Any]):
    """A structure, kept as JSON in text.

    :param encode: gives something that JSON can say.
    :param decode: undoes it.
    :param shared: whether what is read never changes: rows that say the same share it.
    """

    impl = Text
    cache_ok = True

    def __init__(
        self, encode: Callable[[Any], Any], decode: Callable[[Any], Any], shared: bool = True
    ) -> None:
        super().__init__()
        self.encode = encode
        self.decode = decode
        self.shared = shared

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Give what the database keeps."""
        if value is None:
            return None
        return _to_json(self.encode(value))

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Any]:
        """Give what makes of a kept value what the program reads: nothing is called around it."""

        def read(value: Any) -> Any:
            return None if value is None else self.decode(json.loads(value))

        return lru_cache(_SHARED)(read) if self.shared else read


def _encode_ports(ports: tuple[PortRange, ...]) -> list[list[int]]:
    return [[one.first, one.last] for one in ports]


def _decode_ports(encoded: list[list[int]]) -> tuple[PortRange, ...]:
    return tuple(PortRange(first, last) for first, last in encoded)


def _encode_windows(windows: tuple[Window, ...]) -> list[str]:
    return [str(window) for window in windows]


def _decode_windows(encoded: list[str]) -> tuple[Window, ...]:
    return tuple(read_window(text) for text in encoded)


def _decode_methods(encoded: list[str]) -> frozenset[Method]:
    return frozenset(member_of(Method, name) for name in encoded)


def instant_text(moment: datetime) -> str:
    """Write a time as it is shown: in UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


_PLAIN = frozenset({str, bool, int, float, type(None)})
"""The types of most values: they stay as they are."""


def plain(value: object) -> Any:
    """Put a field's value into what JSON can say, as the API and the audit show it."""
    if type(value) in _PLAIN or isinstance(value, int | float):
        return value
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, enum.StrEnum):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value)


Ports = Encoded(_encode_ports, _decode_ports)
Windows = Encoded(_encode_windows, _decode_windows)
Methods = Encoded(plain, _decode_methods)
Texts = Encoded(list, tuple)
Document = Encoded(plain, dict, shared=False)
