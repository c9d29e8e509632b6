"""What users may open, in memory: loaded once, dropped when anything it depends on changes.

While the change feed is down a view may be old without anybody knowing; then nothing is decided.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.entities import UserView
from tunnelcloud.pod.interfaces import IViews


class ViewsOutdated(Exception):
    """The change feed has been down for too long: permissions can't be trusted to be current."""


@implementer(IViews)
class Views:
    """A cache of user views.

    :param load: reads one user's view from the store.
    :param is_current: whether changes reach this pod.
    """

    def __init__(
        self, load: Callable[[str], Deferred[UserView]], is_current: Callable[[], bool]
    ) -> None:
        self._load = load
        self._is_current = is_current
        self._views: dict[str, UserView] = {}
        self._loading: dict[str, list[Deferred[UserView]]] = {}

    def get(self, user_id: str) -> Deferred[UserView]:
        """Give a user's view.

        :raise ViewsOutdated: while the store can't be heard.
        """
        if not self._is_current():
            return fail(ViewsOutdated())
        view = self._views.get(user_id)
        if view is not None:
            return succeed(view)
        waiting = self._loading.get(user_id)
        if waiting is None:
            waiting = self._loading[user_id] = []
            self._start(user_id, waiting)
        if view := self._views.get(user_id):
            return succeed(view)
        answer: Deferred[UserView] = Deferred()
        waiting.append(answer)
        return answer

    def drop(self, user_id: str) -> None:
        """Forget one user's view; a load that is under way is too old as well."""
        self._views.pop(user_id, None)
        waiting = self._loading.get(user_id)
        if waiting is not None:
            fresh = self._loading[user_id] = list(waiting)
            waiting.clear()
            self._start(user_id, fresh)

    def drop_all(self) -> None:
        """Forget all views."""
        self._views.clear()
        for user_id in tuple(self._loading):
            self.drop(user_id)

    def _start(self, user_id: str, waiting: list[Deferred[UserView]]) -> None:
        self._load(user_id).addCallbacks(
            self._loaded,
            self._failed,
            callbackArgs=(user_id, waiting),
            errbackArgs=(user_id, waiting),
        )

    def _loaded(self, view: UserView, user_id: str, waiting: list[Deferred[UserView]]) -> None:
        if self._loading.get(user_id) is waiting:
            del self._loading[user_id]
            self._views[user_id] = view
            for answer in waiting:
                answer.callback(view)

    def _failed(self, failure: Failure, user_id: str, waiting: list[Deferred[UserView]]) -> None:
        if self._loading.get(user_id) is waiting:
            del self._loading[user_id]
            for answer in waiting:
                answer.errback(failure)
