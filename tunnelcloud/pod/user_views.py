"""What users may open, in memory: loaded once, dropped when anything it is made of changes.

Several users' views are loaded by one statement.  A user is in one load at a time; when something
changes that a view under way is made of, that view is worthless and its user waits for the next.

While the change feed is down a view may be old without anybody knowing; then nothing is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from tunnelcloud.domain.entities import UserView
from tunnelcloud.pod.interfaces import IViews
from tunnelcloud.store.errors import StoreUnavailable

AT_ONCE = 100
"""Users whose views one load reads."""

LOADS = 2
"""Loads that may be under way: somebody who logs in waits behind a long one at most."""

Load = Callable[[Sequence[str]], "Deferred[Mapping[str, UserView]]"]


class ViewsOutdated(StoreUnavailable):
    """The change feed has been down for too long: permissions can't be trusted to be current."""

    def __init__(self) -> None:
        super().__init__("changes in the store aren't heard")


_Answers = list[Deferred[UserView]]


@define
class _Changes:
    """What has changed since some moment.

    :ivar decides: ids of what makes views that hold it wrong.
    :ivar shows: ids of what makes views that hold it look old.
    :ivar everything: changes may have been missed.
    """

    decides: set[str] = field(factory=set)
    shows: set[str] = field(factory=set)
    everything: bool = False

    def spoil(self, view: UserView | None, user_id: str) -> bool:
        held = {user_id} if view is None else view.held_ids
        return self.everything or not self.decides.isdisjoint(held)


@define(eq=False)
class _Loading:
    """A load that is under way, who waits for it, and what has changed since it began."""

    answers: dict[str, _Answers]
    changes: _Changes = field(factory=_Changes)


@implementer(IViews)
class Views:
    """A cache of user views.

    :param load: reads some users' views from the store; who isn't there is left out.
    :param is_current: whether changes reach this pod.
    """

    def __init__(self, load: Load, is_current: Callable[[], bool]) -> None:
        self._load = load
        self._is_current = is_current
        self._views: dict[str, UserView] = {}
        self._look_old: set[str] = set()
        self._unsettled = _Changes()
        self._waiting: dict[str, _Answers] = {}
        self._loading: list[_Loading] = []

    def get(self, user_id: str) -> Deferred[UserView]:
        """Give a user's view.

        :raise ViewsOutdated: while the store can't be heard.
        :raise LookupError: there is no such user.
        """
        if not self._is_current():
            return fail(ViewsOutdated())
        view = self.held(user_id)
        return self._wait(user_id) if view is None else succeed(view)

    def shown(self, user_id: str) -> Deferred[UserView]:
        """Give a user's view with the titles and descriptions of now; as ``get``."""
        view = self.held(user_id)
        if view is None or user_id not in self._look_old or not self._is_current():
            return self.get(user_id)
        return self._wait(user_id)

    def held(self, user_id: str) -> UserView | None:
        """Give a user's view if it is in memory and nothing that it is made of has changed."""
        self._settle()
        return self._views.get(user_id)

    def changed(self, ids: Collection[str], decides: bool) -> None:
        """Drop the views that hold some of these ids, or only what they show.

        :param decides: as in ``tunnelcloud.store.transaction.Change``.
        """
        for changes in (self._unsettled, *(one.changes for one in self._loading)):
            (changes.decides if decides else changes.shows).update(ids)

    def drop_all(self) -> None:
        """Forget all views."""
        self._views.clear()
        self._look_old.clear()
        self._unsettled = _Changes()
        for loading in self._loading:
            loading.changes.everything = True

    def _settle(self) -> None:
        """Drop what changes were heard of: however many there were, by one look at each view."""
        decides, shows = self._unsettled.decides, self._unsettled.shows
        if not decides and not shows:
            return
        self._unsettled = _Changes()
        for user_id, view in tuple(self._views.items()):
            if not decides.isdisjoint(view.held_ids):
                del self._views[user_id]
                self._look_old.discard(user_id)
            elif not shows.isdisjoint(view.held_ids):
                self._look_old.add(user_id)

    def _wait(self, user_id: str) -> Deferred[UserView]:
        answer: Deferred[UserView] = Deferred()
        under_way = (one.answers for one in self._loading if user_id in one.answers)
        answers = next(under_way, self._waiting)
        answers.setdefault(user_id, []).append(answer)
        self._start()
        return answer

    def _start(self) -> None:
        while self._waiting and len(self._loading) < LOADS:
            chosen = list(islice(self._waiting, AT_ONCE))
            loading = _Loading({user_id: self._waiting.pop(user_id) for user_id in chosen})
            self._loading.append(loading)
            self._load(chosen).addCallbacks(
                self._loaded, self._failed, callbackArgs=(loading,), errbackArgs=(loading,)
            )

    def _loaded(self, found: Mapping[str, UserView], loading: _Loading) -> None:
        self._loading.remove(loading)
        good = []
        for user_id, answers in loading.answers.items():
            view = found.get(user_id)
            if loading.changes.spoil(view, user_id):
                self._waiting[user_id] = answers + self._waiting.get(user_id, [])
                continue
            good.append((view, user_id, answers))
            if view is not None:
                self._keep(view, loading.changes.shows)
        self._start()
        for view, user_id, answers in good:
            for answer in answers:
                if view is None:
                    answer.errback(LookupError(user_id))
                else:
                    answer.callback(view)

    def _keep(self, view: UserView, shows: set[str]) -> None:
        self._views[view.user.id] = view
        if shows.isdisjoint(view.held_ids):
            self._look_old.discard(view.user.id)
        else:
            self._look_old.add(view.user.id)

    def _failed(self, failure: Failure, loading: _Loading) -> None:
        self._loading.remove(loading)
        self._start()
        for answers in loading.answers.values():
            for answer in answers:
                answer.errback(failure)
