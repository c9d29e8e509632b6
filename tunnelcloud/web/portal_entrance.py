"""Where the portal's pages begin: they are loaded when the first browser comes.

Pages, forms and templates take a tenth of a pod's memory, and a pod that serves SSH and the API may
never be visited.  Loading them takes less than a second, in another thread, once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from http import HTTPStatus

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request

from tunnelcloud.net.spreading import Spreading
from tunnelcloud.web.answering import Answering, as_problem
from tunnelcloud.web.log_redaction import logged_path
from tunnelcloud.web.problems import CONTENT_TYPE, Problem
from tunnelcloud.web.resources.context import ApiContext
from tunnelcloud.web.routes import RouteTable

_Show = Callable[[Request], object]
"""Shows a request's answer."""


def _answer(request: Request, show: _Show) -> None:
    show(request)


class PortalEntrance(Resource):
    """Answers for the portal, and has it loaded for the first request.

    :param table: the API's operations, which pages use.
    """

    isLeaf = True
    _log = Logger()

    def __init__(self, context: ApiContext, table: RouteTable) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._context = context
        self._table = table
        self._portal: IResource | None = None
        self._waiting: deque[Deferred[None]] = deque()

    def render(self, request: Request) -> object:
        """Have the portal answer, at once or as soon as it is loaded."""
        if self._portal is not None:
            return self._portal.render(request)
        answering = Answering(self._context.clock)
        answering.answer(
            request,
            self._loaded(),
            lambda failure: self._failed(failure, request, answering),
            partial(_answer, request),
        )
        return NOT_DONE_YET

    async def _loaded(self) -> _Show:
        if self._portal is None:
            await self._loading()
        assert self._portal is not None
        return self._portal.render

    def _loading(self) -> Deferred[None]:
        """Have the portal loaded once; whoever comes meanwhile waits for it."""
        waits: Deferred[None] = Deferred()
        self._waiting.append(waits)
        if len(self._waiting) == 1:
            self._context.showing.run(self._load).addBoth(self._tell)
        return waits

    def _tell(self, result: Failure | None) -> None:
        waiting, self._waiting = self._waiting, deque()

        def tell_one() -> bool:
            if waiting and not (one := waiting.popleft()).called:
                one.callback(result)  # a failure, too
            return bool(waiting)

        Spreading(self._context.clock).run(tell_one)

    def _load(self) -> None:
        if self._portal is None:
            from tunnelcloud.web.portal.tree import portal_resource

            self._portal = portal_resource(self._context, self._table)

    def _failed(self, failure: Failure, request: Request, answering: Answering) -> _Show:
        problem = as_problem(failure, answering.deeds)
        if problem is None:
            self._log.failure("The portal can't be loaded for {path}", failure,
                              path=logged_path(request))  # fmt: skip
            problem = Problem(
                HTTPStatus.INTERNAL_SERVER_ERROR, "something is wrong in the pod; its log says what"
            )
        body = problem.encode()

        def show(request: Request) -> None:
            request.setResponseCode(problem.status)
            for name, value in {"Content-Type": CONTENT_TYPE, **problem.headers}.items():
                request.setHeader(name, value)
            request.setHeader("Content-Length", str(len(body)))
            request.write(body)
            request.finish()

        return show
