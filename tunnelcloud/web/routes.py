"""The route table: one row an operation, from which everything else is made.

Dispatch, the OpenAPI document and the test of every route for every role read the same rows.
This module knows neither Twisted nor the store.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from inspect import cleandoc
from typing import Any, TypeVar

from attrs import frozen
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

_OPERATION = "operation"
"""What ``operation`` leaves on a handler."""

_PARAMETER = re.compile(r"\{([a-z_]+)\}")

_Model = TypeVar("_Model", bound=BaseModel)
_Made = TypeVar("_Made")
_Method = TypeVar("_Method", bound=Callable[..., Awaitable[Any]])


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

    chunks: AsyncGenerator[bytes, None]


@frozen
class Encoded:
    """An answer whose JSON was written elsewhere: away from the reactor's thread, or once for all.

    :ivar version: its ``ETag``, for an answer that clients may keep; empty for another.
    """

    body: bytes
    version: str = ""


SHOWN_AT_ONCE = 10
"""Rows of a list that are shown in the reactor's thread: most take 20 µs each, a policy with all
the hours and networks that it may have a millisecond.  Another thread takes 300 µs more for all."""


@frozen
class Listed:
    """A page of a list, whose rows are still to be shown.

    :ivar show: gives the plain values of a row, or a model of it; called in any thread.
    :ivar apart: does what takes longer away from the reactor's thread.
    :ivar at_once: how many rows may be shown in that thread; 0 where one row may take long.
    """

    rows: Sequence[Any]
    next_cursor: str | None
    show: Callable[[Any], BaseModel | Mapping[str, Any]]
    apart: Callable[[Callable[[], Any]], Awaitable[Any]]
    at_once: int = SHOWN_AT_ONCE

    async def make(self, make: Callable[[dict[str, Any]], _Made]) -> _Made:
        """Make something of the page as it is shown.

        :param make: called in any thread.
        """
        if len(self.rows) <= self.at_once:
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


def operation(
    method: str, path: str, roles: frozenset[Role], **more: Any
) -> Callable[[_Method], _Method]:
    """Make a method of a class of handlers an operation, with its name and its docstring.

    :param more: what else its row in the route table has, as ``Route``.
    """

    def mark(handler: _Method) -> _Method:
        summary = " ".join(cleandoc(handler.__doc__ or "").split())
        row = partial(Route, method, path, handler.__name__, summary, roles, **more)
        setattr(handler, _OPERATION, row)
        return handler

    return mark


def rows_of(handlers: object) -> list[Route]:
    """Make the rows of a class's operations, in the order in which it has them."""
    found = ((name, getattr(one, _OPERATION, None)) for name, one in vars(type(handlers)).items())
    return [row(getattr(handlers, name)) for name, row in found if row is not None]


@frozen(eq=False)
class Part:
    """Some rows of the route table, whose modules are loaded when one of them is first asked for.

    :ivar words: each path of these rows has at least one of them among its literal parts.
    :ivar make: loads the modules and makes the rows; called in any thread.
    """

    words: frozenset[str]
    make: Callable[[], Iterable[Route]]


class RouteTable:
    """All routes, and how a path finds its rows.

    A part that nobody asks for is never loaded: its modules and models would take memory in every
    pod.

    :param parts: in the order in which the API's description has them.
    :param apart: loads parts away from the reactor's thread: each takes some 20 ms.
    """

    def __init__(
        self, parts: Iterable[Part], apart: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._parts = tuple(parts)
        self._apart = apart
        self._made: dict[Part, tuple[Route, ...]] = {}
        self._by_beginning: dict[tuple[int, str], list[tuple[tuple[str, ...], Route]]] = {}
        """Routes and the parts of their paths, by how many parts there are and the first."""

    @property
    def routes(self) -> tuple[Route, ...]:
        """Give all routes; loads the parts that aren't loaded yet."""
        for part in self._missing():
            self._add(part, part.make())
        routes = tuple(route for part in self._parts for route in self._made[part])
        keys = [(route.method, route.path) for route in routes]
        names = [route.name for route in routes]
        assert len(set(keys)) == len(keys), "a route is there twice"
        assert len(set(names)) == len(names), "an operation's name is there twice"
        return routes

    async def load(self, segments: Sequence[str] | None = None) -> None:
        """Load the parts that may have rows at a path; all parts, where no path is given."""
        wanted = self._missing(segments)
        if not wanted:
            return
        made = await self._apart(lambda: [(part, tuple(part.make())) for part in wanted])
        for part, routes in made:
            self._add(part, routes)

    def _missing(self, segments: Sequence[str] | None = None) -> list[Part]:
        parts = (part for part in self._parts if part not in self._made)
        return [part for part in parts if segments is None or not part.words.isdisjoint(segments)]

    def _add(self, part: Part, routes: Iterable[Route]) -> None:
        """Take the rows of a part, unless two requests had it loaded and the other was first."""
        if part in self._made:
            return
        self._made[part] = made = tuple(routes)
        for route in made:
            parts = tuple(route.path.strip("/").split("/"))
            assert not parts[0].startswith("{"), "the first part of a path is a literal"
            assert not part.words.isdisjoint(parts), "no word of the part leads to the route"
            self._by_beginning.setdefault((len(parts), parts[0]), []).append((parts, route))

    def find(self, segments: Iterable[str]) -> tuple[dict[str, Route], dict[str, str]]:
        """Find the routes at a path, by method, and the values of the path's parameters.

        What wasn't loaded by ``load`` before is loaded here, and the caller's thread waits.

        :raise Problem: 404 when there are none, or an id in the path can't be one.
        """
        wanted = tuple(segments)
        for part in self._missing(wanted):
            self._add(part, part.make())
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
