"""The route table: one row an operation, from which everything else is made.

Dispatch, the OpenAPI document and the test of every route for every role read the same rows.
This module knows neither Twisted nor the store.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from attrs import field, frozen
from pydantic import BaseModel

from tunnelcloud.domain.entities import ID, ID_PREFIXES
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.web.models.plain_values import plain_values
from tunnelcloud.web.problems import not_found
from tunnelcloud.web.sizes import MAX_ANONYMOUS_BODY, MAX_BODY, MAX_FORM

READERS = frozenset({Role.ADMIN, Role.AUDITOR})
ADMINS = frozenset({Role.ADMIN})
EVERYBODY = frozenset(Role)
ANONYMOUS: frozenset[Role] = frozenset()
"""The operation asks for no credential."""

_PARAMETER = re.compile(r"\{([a-z_]+)\}")

_Model = TypeVar("_Model", bound=BaseModel)
_Made = TypeVar("_Made")


@frozen
class Caller:
    """Who asks: the bearer of an API token, or a person signed in to the portal.

    :ivar id: of the API token or the user; with ``name`` it is the actor of audit events.
    :ivar user_id: the user this is, or None for a token of no user.
    :ivar api_token_id: the token that was shown; None for somebody in the portal.
    :ivar web_session_id: the sign-in of somebody in the portal.
    """

    id: str
    name: str
    role: Role
    user_id: str | None = None
    api_token_id: str | None = None
    web_session_id: str | None = None


@frozen
class Call:
    """One request, checked: the caller may do this, and body and query have their types."""

    params: Mapping[str, str]
    source_ip: str
    caller: Caller | None = None
    body: BaseModel | None = None
    query: BaseModel | None = None
    if_match: tuple[str, ...] = ()
    """Versions one of which the object must have to be changed; none: any will do."""

    def who(self) -> Caller:
        """Give the caller of a route that isn't anonymous."""
        assert self.caller is not None, "the route asks for no credential"
        return self.caller

    def body_as(self, model: type[_Model]) -> _Model:
        """Give the body, which the route table says is a ``model``."""
        assert isinstance(self.body, model)
        return self.body

    def query_as(self, model: type[_Model]) -> _Model:
        """Give the query, which the route table says is a ``model``."""
        assert isinstance(self.query, model)
        return self.query


@frozen
class Item:
    """One object as it is shown, and its version: that is its ``ETag``."""

    shown: BaseModel | Mapping[str, Any]
    version: str


@frozen
class Lines:
    """An answer that is made while it is sent: chunks of lines, each a JSON document.

    Whoever reads slowly is waited for.
    """

    chunks: AsyncIterator[bytes]


@frozen
class Encoded:
    """An answer whose JSON was written elsewhere: away from the reactor's thread, or once for all.

    :ivar version: its ``ETag``, for an answer that clients may keep; empty for another.
    """

    body: bytes
    version: str = ""


SHOWN_AT_ONCE = 50
"""Rows of a list that are shown in the reactor's thread: that takes about a millisecond.  To have
another thread do it takes a third of that by itself."""


@frozen
class Listed:
    """A page of a list, whose rows are still to be shown.

    :ivar show: gives the plain values of a row, or a model of it; called in any thread.
    :ivar apart: does what takes longer away from the reactor's thread.
    """

    rows: Sequence[Any]
    next_cursor: str | None
    show: Callable[[Any], BaseModel | Mapping[str, Any]]
    apart: Callable[[Callable[[], Any]], Awaitable[Any]]

    async def make(self, make: Callable[[dict[str, Any]], _Made]) -> _Made:
        """Make something of the page as it is shown.

        :param make: called in any thread.
        """
        if len(self.rows) <= SHOWN_AT_ONCE:
            return make(self._shown())
        made: _Made = await self.apart(lambda: make(self._shown()))
        return made

    def _shown(self) -> dict[str, Any]:
        return {
            "items": [plain_values(self.show(row)) for row in self.rows],
            "next_cursor": self.next_cursor,
        }


LINES_TYPE = "application/x-ndjson"

Handled = BaseModel | Item | Lines | Listed | Encoded | Mapping[str, Any] | None
Handler = Callable[[Call], Awaitable[Handled]]


@frozen
class Route:
    """One operation.

    :ivar path: below ``/api/v1``, with parameters such as ``{site_id}``.
    :ivar roles: who may; empty for anyone at all.
    :ivar answer: the model of what is answered; None for nothing (204).
    :ivar lines: whether the answer is ``Lines``.
    :ivar is_big: whether the body is a whole configuration.
    :ivar seconds: the time it may take, where that is more than other requests have.
    :ivar item: whether the answer is one object with an ``ETag``, and a change takes ``If-Match``.
    """

    method: str
    path: str
    name: str
    summary: str
    roles: frozenset[Role]
    handler: Handler
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: HTTPStatus = HTTPStatus.OK
    item: bool = False
    lines: bool = False
    is_big: bool = False
    seconds: float | None = None

    @property
    def longest_body(self) -> int:
        """Give how many bytes a body may have; fewer where nobody has to show who they are."""
        if self.is_big:
            return MAX_BODY
        return MAX_FORM if self.roles else MAX_ANONYMOUS_BODY

    @property
    def parameters(self) -> list[str]:
        """Name the parameters of the path, in order."""
        return _PARAMETER.findall(self.path)


@frozen
class RouteTable:
    """All routes, and how a path finds its rows."""

    routes: tuple[Route, ...]
    _by_beginning: dict[tuple[int, str], list[tuple[tuple[str, ...], Route]]] = field(
        factory=dict, init=False, eq=False, repr=False
    )
    """Routes and the parts of their paths, by how many parts there are and the first."""

    def __attrs_post_init__(self) -> None:
        for route in self.routes:
            parts = tuple(route.path.strip("/").split("/"))
            assert not parts[0].startswith("{"), "the first part of a path is a literal"
            self._by_beginning.setdefault((len(parts), parts[0]), []).append((parts, route))
        keys = [(route.method, route.path) for route in self.routes]
        names = [route.name for route in self.routes]
        assert len(set(keys)) == len(keys), "a route is there twice"
        assert len(set(names)) == len(names), "an operation's name is there twice"

    def find(self, segments: Iterable[str]) -> tuple[dict[str, Route], dict[str, str]]:
        """Find the routes at a path, by method, and the values of the path's parameters.

        :raise Problem: 404 when there are none, or an id in the path can't be one.
        """
        wanted = tuple(segments)
        best: tuple[dict[str, Route], dict[str, str]] | None = None
        beginning = (len(wanted), wanted[0] if wanted else "")
        for parts, route in self._by_beginning.get(beginning, ()):
            values = _match(parts, wanted)
            if values is None:
                continue
            # A literal segment is meant before a parameter that could be anything.
            if best is None or len(values) < len(best[1]):
                best = {}, values
            if len(values) == len(best[1]):
                best[0][route.method] = route
        if best is None:
            raise not_found()
        return best


def _match(parts: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    """Give the parameters of a path that is this route's; None for another's."""
    values: dict[str, str] = {}
    for expected, given in zip(parts, segments, strict=True):
        if expected.startswith("{"):
            name = expected[1:-1]
            prefix = ID_PREFIXES.get(name.removesuffix("_id"), "")
            if not (ID.fullmatch(given) and given.startswith(f"{prefix}_")):
                return None
            values[name] = given
        elif expected != given:
            return None
    return values
