"""``/api/v1``: from a request to a call of the route table's handler, and its answer back.

A caller is authenticated before the address is looked at; the role, the body and the query are
checked before the handler runs.  What each operation does is not known here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote_to_bytes

from pydantic import BaseModel, ValidationError
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.places_of_users import PlacesOfUsers
from tunnelcloud.net.round_robin import CAUSER
from tunnelcloud.store.asynchronous import Deeds
from tunnelcloud.web import problems
from tunnelcloud.web.answering import Answering, as_problem
from tunnelcloud.web.bodies import READ_AT_ONCE, read_body
from tunnelcloud.web.encoding import encode_json
from tunnelcloud.web.http_limits import count_as_users
from tunnelcloud.web.log_redaction import logged_path
from tunnelcloud.web.models.plain_values import plain_values
from tunnelcloud.web.problems import Problem
from tunnelcloud.web.routes import (
    LINES_TYPE,
    Call,
    Caller,
    Encoded,
    Handled,
    Item,
    Lines,
    Listed,
    Route,
    RouteTable,
)
from tunnelcloud.web.sizes import FIELDS_AT_ONCE
from tunnelcloud.web.streamed_answers import Streaming, is_long, send_whole
from tunnelcloud.web.worker import Worker

JSON_TYPE = "application/json"
_BODY_TYPES = {JSON_TYPE, "application/merge-patch+json"}
_MAX_QUERY_FIELDS = 50

Authenticate = Callable[[IRequest], Awaitable[Caller]]


def read_tags(header: str | None) -> tuple[str, ...]:
    """Read the versions that ``If-Match`` or ``If-None-Match`` names (RFC 9110, 13.1).

    :return: nothing for no header; a ``*`` stays one.
    """
    if header is None:
        return ()
    return tuple(tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))


class ApiResource(Resource):
    """Everything below ``/api/v1``.

    :param authenticate: gives the caller, or raises a ``Problem``.
    :param clock: bounds what a handler may take.
    :param worker: reads long bodies.
    :param showing: reads long queries; it never waits for what takes seconds.
    :param users: have so many requests in work at a time.
    """

    isLeaf = True
    _log = Logger()

    def __init__(
        self,
        table: RouteTable,
        authenticate: Authenticate,
        clock: IReactorTime,
        worker: Worker,
        showing: Worker,
        users: PlacesOfUsers,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._table = table
        self._authenticate = authenticate
        self._clock = clock
        self._worker = worker
        self._showing = showing
        self._users = users

    def render(self, request: Request) -> int:
        """Answer, now or later, but within the time a request has."""
        answering = Answering(self._clock)
        answering.answer(
            request,
            self._answer(request, answering, request.notifyFinish()),
            lambda failure: self._failed(failure, request, answering.deeds),
            lambda answer: answer.send(request),
        )
        return NOT_DONE_YET

    async def _answer(
        self, request: IRequest, answering: Answering, ended: Deferred[None]
    ) -> _Answer:
        """Answer.

        :param ended: fires when the answer is sent, or fails when the client is gone.
        """
        ended.addErrback(lambda _: None)
        path = _segments(request)
        await self._table.load(path)
        public = self._anonymous_route(path)
        caller = None if public else await self._authenticate(request)
        if caller is not None:
            count_as_users(request, caller.role)
            CAUSER.set(caller.user_id or caller.id)
        route, params = self._find(request, path)
        if caller is not None and route.roles and caller.role not in route.roles:
            raise problems.forbidden(_role_text(caller.role, route))
        if caller is None:
            return await self._do(request, route, params, None)
        whose = caller.user_id or caller.id
        if route.seconds is not None:
            answering.allow(route.seconds)
        if route.lines or route.seconds is not None:
            whose = f"{whose} {route.name}"  # others of the user don't wait for what takes long
        return await self._users.run(
            whose,
            lambda: self._do(request, route, params, caller),
            lambda answer: ended if answer.is_long else None,
        )

    def _find(self, request: IRequest, path: list[str]) -> tuple[Route, dict[str, str]]:
        """Find what is asked for.

        :raise Problem: 404 or 405.
        """
        routes, params = self._table.find(path)
        method = request.method.decode("ascii", "replace")
        route = routes.get("GET" if method == "HEAD" else method)
        if route is None:
            allowed = sorted({*routes, *({"HEAD"} if "GET" in routes else ())})
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{method} doesn't work here: use {' or '.join(allowed)}",
                headers={"Allow": ", ".join(allowed)},
            )
        return route, params

    async def _do(
        self,
        request: IRequest,
        route: Route,
        params: dict[str, str],
        caller: Caller | None,
    ) -> _Answer:
        call = Call(
            params=params,
            source_ip=getattr(request.getClientAddress(), "host", ""),
            caller=caller,
            body=await self._read_body(request, route),
            query=await self._read_query(request, route),
            if_match=tuple(tag for tag in read_tags(request.getHeader("if-match")) if tag != "*"),
        )
        handled = await route.handler(call)
        if isinstance(handled, Listed):
            handled = Encoded(await handled.make(encode_json))
        return _shown(request, route, handled)

    async def _read_body(self, request: IRequest, route: Route) -> BaseModel | None:
        raw = _checked_body(request, route)
        if route.body is None:
            return None
        if len(raw) <= READ_AT_ONCE:
            return read_body(route, raw)
        return await self._worker.run(lambda: read_body(route, raw))

    async def _read_query(self, request: IRequest, route: Route) -> BaseModel | None:
        _, _, raw = request.uri.partition(b"?")
        if len(raw) <= FIELDS_AT_ONCE:
            return _read_query(raw, route)
        return await self._showing.run(lambda: _read_query(raw, route))

    def _anonymous_route(self, path: list[str]) -> bool:
        try:
            routes, _ = self._table.find(path)
        except Problem:
            return False
        return all(not route.roles for route in routes.values())

    def _failed(self, failure: Failure, request: IRequest, deeds: Deeds) -> _Answer:
        problem = as_problem(failure, deeds)
        if problem is None:
            self._log.failure("{method} {path} failed", failure, method=request.method,
                              path=logged_path(request))  # fmt: skip
            problem = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "something is wrong in the pod; its log says what"
            )
        headers = {"Content-Type": problems.CONTENT_TYPE, **problem.headers}
        return _Answer(problem.status, headers, problem.encode())


class _Answer:
    """A status, headers and a body."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def is_long(self) -> bool:
        """Tell whether it goes on until its client has read it."""
        return is_long(self.body)

    def send(self, request: Request) -> None:
        """Send the whole answer."""
        self.send_head(request)
        if self.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            request.finish()
        else:
            send_whole(request, self.body)

    def send_head(self, request: Request) -> None:
        """Send the status and the headers."""
        request.setResponseCode(self.status)
        request.setHeader("Cache-Control", "no-store")
        request.setHeader("X-Content-Type-Options", "nosniff")
        for name, value in self.headers.items():
            request.setHeader(name, value)


class _LinesAnswer(_Answer):
    """Lines that are made while they are sent."""

    def __init__(self, lines: Lines) -> None:
        super().__init__(HTTPStatus.OK, {"Content-Type": LINES_TYPE}, b"")
        self._lines = lines

    @property
    def is_long(self) -> bool:
        return True

    def send(self, request: Request) -> None:
        self.send_head(request)
        if request.method == b"HEAD":
            request.finish()
        else:
            Streaming(request, self._lines.chunks).start()


def _shown(request: IRequest, route: Route, handled: Handled) -> _Answer:
    if handled is None:
        return _Answer(HTTPStatus.NO_CONTENT, {}, b"")
    if isinstance(handled, Lines):
        return _LinesAnswer(handled)
    headers = {"Content-Type": JSON_TYPE}
    if isinstance(handled, Encoded):
        if handled.version:
            headers |= {"ETag": f'"{handled.version}"', "Cache-Control": "no-cache"}
            if handled.version in read_tags(request.getHeader("if-none-match")):
                return _Answer(HTTPStatus.NOT_MODIFIED, headers, b"")
        return _Answer(route.status, headers, handled.body)
    if isinstance(handled, Item):
        headers["ETag"] = f'"{handled.version}"'
        known = read_tags(request.getHeader("if-none-match"))
        if route.method == "GET" and ("*" in known or handled.version in known):
            return _Answer(HTTPStatus.NOT_MODIFIED, headers, b"")
        handled = handled.shown
    assert not isinstance(handled, Listed), "its rows were shown before"
    shown = plain_values(handled)
    if route.status == HTTPStatus.CREATED and "id" in shown:
        headers["Location"] = f"{request.path.decode('ascii', 'replace').rstrip('/')}/{shown['id']}"
    return _Answer(route.status, headers, encode_json(shown))


def _segments(request: IRequest) -> list[str]:
    try:
        segments = [segment.decode("utf-8") for segment in request.postpath]
    except UnicodeDecodeError:
        return ["\ufffd"]
    return segments[:-1] if segments and not segments[-1] else segments


def _role_text(role: Role, route: Route) -> str:
    needed = " or ".join(sorted(route.roles))
    return f"the role {role} may not do this: it takes {needed}"


def _checked_body(request: IRequest, route: Route) -> bytes:
    raw: bytes = request.content.read()
    if getattr(request, "body_too_big", False) or len(raw) > route.longest_body:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is bigger than {route.longest_body} bytes",
        )
    if route.body is None:
        if raw:
            raise Problem(HTTPStatus.BAD_REQUEST, "this operation takes no body")
        return raw
    content_type = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
    if content_type not in _BODY_TYPES and (raw or content_type):
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"send JSON, with Content-Type: {JSON_TYPE}",
            headers={"Accept": JSON_TYPE},
        )
    return raw


def _read_query(raw: bytes, route: Route) -> BaseModel | None:
    try:
        unquote_to_bytes(raw).decode("utf-8")
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS
        )
    except (UnicodeDecodeError, ValueError):
        raise Problem(HTTPStatus.BAD_REQUEST, "the query can't be read") from None
    given = dict(pairs)
    if len(given) != len(pairs):
        twice = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
        raise problems.invalid_field(twice, "is there twice")
    if route.query is None:
        if given:
            raise problems.invalid_field(next(iter(given)), "there is no such parameter")
        return None
    try:
        return route.query.model_validate_strings(given)
    except ValidationError as error:
        raise problems.from_validation(error) from None
