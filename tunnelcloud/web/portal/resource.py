"""From a request to a page of the page table, and its answer back.

First the visitor is identified, then their right to the page is checked, then that a form is ours;
only then does a page's handler run. This module doesn't know which pages there are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import parse_qs, quote

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from tunnelcloud.domain.addresses import party_of
from tunnelcloud.net.escaping import escape
from tunnelcloud.net.round_robin import CAUSER
from tunnelcloud.store.asynchronous import Deeds
from tunnelcloud.web.answering import Answering, as_problem
from tunnelcloud.web.http_limits import count_as_users
from tunnelcloud.web.log_redaction import logged_path
from tunnelcloud.web.portal.kept_forms import set_aside
from tunnelcloud.web.portal.page_headers import PAGE_HEADERS
from tunnelcloud.web.portal.page_requests import (
    Download,
    Followed,
    Moved,
    PageRoute,
    Shown,
    SignedIn,
    Visit,
    values_of,
)
from tunnelcloud.web.portal.rendering import Renderer
from tunnelcloud.web.portal.sealed_cookies import read_once, write_once
from tunnelcloud.web.portal.sign_in_cookies import (
    Cookies,
    SignIns,
    cannot_work,
    csrf_of,
    is_csrf,
    new_secret,
    wants_secure,
)
from tunnelcloud.web.problems import Problem, forbidden, not_found
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.sizes import FIELDS_AT_ONCE, MAX_ANONYMOUS_BODY, MAX_FORM
from tunnelcloud.web.streamed_answers import Streaming, is_long, send_whole

SIGN_IN = "/sign-in"
_MAX_FIELDS = 500
LIVE = "/live"
"""Addresses by which pages update themselves: such a request doesn't prolong a sign-in."""
_SIGNED_OUT = "you are signed out: sign in, then do it again"
_FORM_TYPE = "application/x-www-form-urlencoded"


class PortalResource(Resource):
    """All pages, and the files they refer to."""

    isLeaf = True
    _log = Logger()

    def __init__(self, context: ApiContext, pages: Sequence[PageRoute], renderer: Renderer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._context = context
        self._pages = pages
        self._renderer = renderer
        self._sign_ins = SignIns(context)
        self._clock: IReactorTime = context.clock

    def render(self, request: Request) -> int:
        """Answer, now or later, but within the time a request has."""
        for name, value in PAGE_HEADERS.items():
            request.setHeader(name, value)
        cookies = Cookies(request, wants_secure(request, self._context.web_url))
        known: list[Visit] = []
        answering = Answering(self._clock)

        def send(body: bytes | Download | Followed) -> None:
            if isinstance(body, Download):
                _download(request, body)
            elif isinstance(body, Followed):
                body.begin(request)
            else:
                send_whole(request, body)

        answering.answer(
            request,
            self._answer(request, cookies, known, request.notifyFinish()),
            lambda failure: self._failed(failure, answering.deeds, request, cookies, known),
            send,
        )
        return NOT_DONE_YET

    async def _answer(
        self, request: Request, cookies: Cookies, known: list[Visit], ended: Deferred[None]
    ) -> bytes | Download | Followed:
        """Answer.

        :param known: gets the visit as soon as the visitor is known, so that an error page has
            their menu.
        :param ended: fires when the answer is sent, or fails when the client is gone.
        """
        ended.addErrback(lambda _: None)
        path = request.path.decode("utf-8", "replace")
        method = "GET" if request.method == b"HEAD" else request.method.decode("ascii", "replace")
        if path.startswith("/static/") and method == "GET":
            return self._static(request, path.removeprefix("/static/"))
        somebody_acts = path != LIVE
        signed_in = await self._sign_ins.find(cookies.session(), somebody_acts=somebody_acts)
        if signed_in is None:
            return await self._do(request, cookies, method, path, None)
        address = request.uri.decode("ascii", "replace")
        known.append(Visit(address, "", csrf_of(cookies.session()), signed_in=signed_in))
        count_as_users(request, signed_in.user.role)
        CAUSER.set(signed_in.user.id)
        return await self._context.users.run(
            signed_in.user.id,
            lambda: self._do(request, cookies, method, path, signed_in),
            lambda page: ended if isinstance(page, bytes) and is_long(page) else None,
        )

    async def _do(
        self,
        request: Request,
        cookies: Cookies,
        method: str,
        path: str,
        signed_in: SignedIn | None,
    ) -> bytes | Download | Followed:
        page, params = self._find(method, path)
        needs_sign_in = signed_in is None and not page.anonymous
        form = _form_of(request, signed_in is None, needs_sign_in)
        visit = await self._visit(request, form)
        if needs_sign_in:
            where = visit.address
            if method != "GET":
                where = set_aside(self._context, cookies, visit, self._is_shown(path))
            if not where:
                raise forbidden(_SIGNED_OUT)
            location = f"{SIGN_IN}?next={quote(where, safe='')}"
            return await self._show(request, cookies, visit, Moved(location))
        secret = cookies.session() if signed_in is not None else cookies.form()
        if method == "POST" and not is_csrf(secret, visit.typed("csrf")):
            raise Problem(HTTPStatus.FORBIDDEN, self._stale_form_text(cookies))
        if not secret:
            secret = new_secret(self._context)
            if _is_shown_to_somebody(request):
                cookies.keep_form(secret)
        if signed_in is not None and not page.anonymous and signed_in.user.role not in page.roles:
            raise forbidden("this page is for administrators: ask one of them")
        visit = evolve(
            visit,
            params=params,
            signed_in=signed_in,
            csrf=csrf_of(secret),
            step=cookies.step(),
            device=cookies.device(),
            tools=cookies.tools(),
            unfinished=cookies.unfinished(),
        )
        if method == "POST" and visit.unfinished and signed_in is not None:
            cookies.keep_unfinished("")
        if method == "GET":
            kept = cookies.take_once(visit.path)
            place = _place(visit.path, visit.csrf)
            visit = evolve(visit, once=read_once(self._context, place, kept))
        reply = await page.handler(visit)
        if isinstance(reply, Download | Followed):
            return reply
        return await self._show(request, cookies, visit, reply)

    async def _visit(self, request: Request, form: bytes) -> Visit:
        """Read a request.

        :raise Problem: 400.
        """
        _, _, query = request.uri.partition(b"?")
        source_ip = getattr(request.getClientAddress(), "host", "")
        source = CAUSER.get() or party_of(source_ip)
        asked = await self._read_fields(query, source)
        typed = await self._read_fields(form, source)
        return Visit(
            address=request.uri.decode("ascii", "replace"),
            source_ip=source_ip,
            csrf="",
            cannot_work=cannot_work(request, self._context.web_url),
            query={name: values[0] for name, values in asked.items()},
            form={name: tuple(values) for name, values in typed.items()},
            user_agent=escape(request.getHeader("user-agent") or ""),
        )

    async def _read_fields(self, encoded: bytes, source: str) -> Mapping[str, list[str]]:
        if len(encoded) <= FIELDS_AT_ONCE:
            return read_fields(encoded)
        return await self._context.showing.run(lambda: read_fields(encoded), source=source)

    def _find(self, method: str, path: str) -> tuple[PageRoute, dict[str, str]]:
        allowed: set[str] = set()
        for page in self._pages:
            params = page.match(path)
            if params is not None and page.method == method:
                return page, params
            allowed |= {page.method} if params is not None else set()
        if not allowed:
            raise not_found("there is no such page")
        raise Problem(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "this address doesn't take this kind of request",
            headers={"Allow": ", ".join(sorted(allowed))},
        )

    def _is_shown(self, path: str) -> bool:
        return any(one.method == "GET" and one.match(path) is not None for one in self._pages)

    def _stale_form_text(self, cookies: Cookies) -> str:
        if cookies.session() or cookies.form():
            return "the form is out of date: go back, load the page again, and send it once more"
        return (
            "your browser sent no cookie with the form: allow cookies for this site, and open it "
            f"as {self._context.web_url}"
        )

    def _static(self, request: Request, name: str) -> bytes:
        found = self._renderer.static.get(name)
        if found is None:
            raise not_found("there is no such file")
        request.setHeader("Content-Type", found.content_type)
        request.setHeader("Cache-Control", "public, max-age=31536000, immutable")
        request.setHeader("Vary", "Accept-Encoding")
        taken = re.split(r"[\s,]+", request.getHeader("accept-encoding") or "")
        if "gzip" not in taken:
            return found.content
        request.setHeader("Content-Encoding", "gzip")
        return found.packed

    async def _show(
        self, request: IRequest, cookies: Cookies, visit: Visit, reply: Shown | Moved
    ) -> bytes:
        """Answer with a page, which is made away from the reactor's thread."""
        page = self._prepare(request, cookies, visit, reply)
        return b"" if page is None else await self._context.showing.run(page, source=visit.party)

    def _prepare(
        self, request: IRequest, cookies: Cookies, visit: Visit, reply: Shown | Moved
    ) -> Callable[[], bytes] | None:
        """Set the answer's headers, and give what makes its page; None where it has none."""
        request.setHeader("Cache-Control", "no-store")
        if isinstance(reply, Moved):
            if reply.session is not None:
                cookies.keep_session(reply.session)
                cookies.keep_form("")
            if reply.note:
                cookies.keep_note(reply.note)
            if reply.step is not None:
                cookies.keep_step(reply.step)
            if reply.device:
                cookies.keep_device(reply.device)
            if reply.once:
                path = re.split(r"[?#]", reply.location)[0]
                sealed = write_once(self._context, _place(path, visit.csrf), reply.once)
                cookies.keep_once(path, sealed)
            request.setResponseCode(HTTPStatus.SEE_OTHER)
            request.setHeader("Location", reply.location)
            return None
        if reply.tools:
            cookies.keep_tools(reply.tools)
        request.setResponseCode(reply.status)
        request.setHeader("Content-Type", "text/html; charset=utf-8")
        for name, value in reply.headers.items():
            request.setHeader(name, value)
        values, now = values_of(visit, reply, cookies.take_note()), self._context.now()
        return lambda: self._renderer.render(reply.template, values, now)

    def _failed(
        self,
        failure: Failure,
        deeds: Deeds,
        request: IRequest,
        cookies: Cookies,
        known: Sequence[Visit],
    ) -> bytes:
        problem = as_problem(failure, deeds)
        if problem is None:
            self._log.failure("The page {path} failed", failure, path=logged_path(request))
            problem = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "something is wrong in the pod; its log says what"
            )
        visit = known[-1] if known else Visit("/", "", "")
        title = HTTPStatus(problem.status).phrase
        reply = Shown(
            "failed.html",
            {"title": title, "text": problem.detail},
            problem.status,
            {name: value for name, value in problem.headers.items() if name != "WWW-Authenticate"},
        )
        page = self._prepare(request, cookies, visit, reply)
        return b"" if page is None else page()


def _is_shown_to_somebody(request: Request) -> bool:
    """Tell whether a browser asks for a page to show, and not a script for what it is led to.

    A page that follows changes is led to the sign-in once its visitor is signed out, while they
    load that page, too: its cookie would take the place of the one that their form goes with.
    """
    return request.getHeader("sec-fetch-mode") in (None, "navigate")


def _place(path: str, csrf: str) -> str:
    """Name a page and a sign-in: what is sealed for this name only that page can show."""
    return f"{csrf} {path}"


def _download(request: Request, file: Download) -> None:
    request.setHeader("Cache-Control", "no-store")
    request.setHeader("Content-Type", file.content_type)
    request.setHeader("Content-Disposition", f'attachment; filename="{file.name}"')
    if request.method == b"HEAD":
        request.finish()
    else:
        Streaming(request, file.chunks).start()


def _form_of(request: Request, is_stranger: bool, needs_sign_in: bool) -> bytes:
    """Give the form that a request brings, if it may be a form of ours; empty without one.

    :param needs_sign_in: whether it is for a page that wants a sign-in, and nobody is signed in.
    :raise Problem: 403, 413 or 415.
    """
    if request.method != b"POST":
        return b""
    assert request.content is not None, "the body was read"
    form: bytes = request.content.read()
    most = MAX_ANONYMOUS_BODY if is_stranger else MAX_FORM
    if getattr(request, "body_too_big", False) or len(form) > most:
        if needs_sign_in:
            raise forbidden(_SIGNED_OUT)
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too big")
    content_type = (request.getHeader("content-type") or "").partition(";")[0].strip().lower()
    if content_type != _FORM_TYPE:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send a form")
    return form


def read_fields(encoded: bytes) -> dict[str, list[str]]:
    """Read a form or a query.

    :raise Problem: 400.
    """
    try:
        return parse_qs(
            encoded.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "what was sent can't be read") from None
