"""The context that the pod gives to handlers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from attrs import field, frozen
from twisted.internet.interfaces import IReactorTime

from tunnelcloud.domain.objects.users import Role
from tunnelcloud.net.fetching import Fetch, no_way_out
from tunnelcloud.net.places_of_users import PlacesOfUsers
from tunnelcloud.pki.sealing import Sealer, passing_sealer
from tunnelcloud.store.asynchronous import AsyncStore
from tunnelcloud.store.transaction import Actor, Change, Resync
from tunnelcloud.web.caller_rights import check_caller
from tunnelcloud.web.change_rates import Paces
from tunnelcloud.web.interfaces import ILivePod
from tunnelcloud.web.models.fields import PageQuery
from tunnelcloud.web.portal.password_attempts import SignInAttempts
from tunnelcloud.web.portal.shared_attempts import SharedAttempts
from tunnelcloud.web.problems import forbidden
from tunnelcloud.web.proxies import ProxySightings
from tunnelcloud.web.request_concurrency import MOST_OF_A_USER
from tunnelcloud.web.routes import ADMINS, EVERYBODY, READERS, Call, Caller
from tunnelcloud.web.worker import Worker

DAY = 24 * 60 * 60


@frozen
class ApiContext:
    """The store, the running pod, and the settings.

    :ivar join_token_lifetime: in seconds.
    :ivar invitation_lifetime: of links to set a password, in seconds.
    :ivar browser_login: from where SSH logins may be confirmed, as pod.toml has it.
    :ivar web_url: where people reach this listener, without a slash at the end.
    :ivar sealer: of secrets that have to be read again.
    :ivar fetch: asks identity providers.
    :ivar random: gives that many random bytes.
    :ivar tell_time: gives the time of day.
    :ivar sightings: notes proxies that aren't trusted.
    :ivar listeners: each hears of changes in the store, in the reactor's thread.
    :ivar attempts: knows whose next sign-in has to wait.
    :ivar shared_attempts: has the other pods know it too.
    :ivar paces: knows who changes too much.
    :ivar users: have so many requests in work at a time, in pages and API together.
    :ivar worker: does what takes long away from the reactor's thread.
    :ivar planner: finds what applying a document does.
    :ivar showing: makes long lists and pages there; it never waits for what takes seconds.
    """

    store: AsyncStore
    live: ILivePod
    clock: IReactorTime
    web_url: str
    _token_lifetime: Callable[[], int] = field(default=lambda: 600)
    join_token_lifetime: int = DAY
    invitation_lifetime: int = 3 * DAY
    browser_login: str = "anywhere"
    sealer: Sealer = field(factory=passing_sealer)
    fetch: Fetch = field(default=no_way_out)
    random: Callable[[int], bytes] = field(default=os.urandom)
    tell_time: Callable[[], datetime] = field(default=partial(datetime.now, UTC))
    sightings: ProxySightings = field(factory=ProxySightings)
    listeners: list[Callable[[Change | Resync], object]] = field(factory=list, init=False)
    attempts: SignInAttempts = field(init=False)
    shared_attempts: SharedAttempts = field(init=False)
    paces: Paces = field(init=False)
    users: PlacesOfUsers = field(init=False)
    worker: Worker = field(init=False)
    planner: Worker = field(init=False)
    showing: Worker = field(init=False)

    @attempts.default
    def _make_attempts(self) -> SignInAttempts:
        return SignInAttempts(self.clock)

    @shared_attempts.default
    def _make_shared_attempts(self) -> SharedAttempts:
        shared = SharedAttempts(self.attempts, self.store)
        self.listeners.append(shared.changed)
        return shared

    @paces.default
    def _make_paces(self) -> Paces:
        return Paces(self.clock)

    @users.default
    def _make_users(self) -> PlacesOfUsers:
        return PlacesOfUsers(self.clock, MOST_OF_A_USER)

    @showing.default
    def _make_showing(self) -> Worker:
        return Worker(
            self.store.reactor, "web-pages", "the pod shows others their pages: try again soon"
        )

    @worker.default
    def _make_worker(self) -> Worker:
        return Worker(
            self.store.reactor, "web", "the pod is busy with others: try again in a few seconds"
        )

    @planner.default
    def _make_planner(self) -> Worker:
        return Worker(
            self.store.reactor, "web-plans", "the pod applies other documents: try again soon"
        )

    @property
    def token_lifetime(self) -> int:
        """Give the lifetime of one-time tokens, in seconds; it may change while the pod runs."""
        return self._token_lifetime()

    def acting(self, call: Call) -> AsyncStore:
        """Give the store for what a caller does: the audit names them."""
        return self.acting_as(call.who())

    def acting_as(self, caller: Caller) -> AsyncStore:
        """Give the store for what somebody does, by the API or by a page.

        Each transaction that writes asks again whether they may: since the request was let in, they
        may have been signed out, blocked or demoted.

        :raise Problem: 429 for a user who changes too much.
        """
        self.paces.take(caller)
        store = self.store.acting(Actor(caller.name, caller.id))
        return store.checked(partial(check_caller, caller=caller, writes=True))

    def tell(self, change: Change | Resync) -> None:
        """Tell those who listen of a change in the store."""
        for hear in self.listeners:
            hear(change)

    def invitation_url(self, secret: str) -> str:
        """Give the one-time link that holds a secret."""
        return f"{self.web_url}/invitation/{secret}"

    def now(self) -> datetime:
        """Tell the time by this pod's clock: for what is asked, never for what expires."""
        return self.tell_time()


def own_user_id(call: Call) -> str:
    """Give the user that the caller is.

    :raise Problem: 403 for an API token of no user.
    """
    user_id = call.who().user_id
    if user_id is None:
        raise forbidden("this API token belongs to no user: use one that was created for a user")
    return user_id


def check_own(call: Call) -> None:
    """Refuse what counts as a person's deed, if somebody else may be doing it.

    :raise Problem: 403 for a person's API token that somebody else created, and has seen.
    """
    caller = call.who()
    if caller.user_id not in (None, caller.id):
        raise forbidden(
            "somebody else created this API token and has seen it: use the portal, or a token of "
            "your own"
        )


@frozen
class Whose:
    """Whose objects some rows of the route table are of: anybody's, or those of one owner.

    :ivar path: what the paths of the rows begin with.
    :ivar possessive: whose they are, in words.
    :ivar own: what the names of their operations have before the noun.
    :ivar readers: who may look at the objects.
    :ivar writers: who may make, change and end them.
    :ivar owners: gives the fields by which an object is the owner's, such as ``user_id``.
    """

    path: str
    possessive: str
    own: str
    readers: frozenset[Role]
    writers: frozenset[Role]
    owners: Callable[[Call], Mapping[str, str]]

    def filters(self, call: Call, query: type[PageQuery]) -> dict[str, Any]:
        """Return a list's filters."""
        return {**call.query_as(query).filters(), **self.owners(call)}


def _caller(call: Call) -> Mapping[str, str]:
    return {"user_id": own_user_id(call)}


def owned_by(parent: str, possessive: str) -> Whose:
    """Describe objects that belong to the object in whose path they are.

    :param parent: its kind, such as ``user``.
    """
    name = f"{parent}_id"
    return Whose(
        f"/{parent}s/{{{name}}}",
        possessive,
        "",
        READERS,
        ADMINS,
        lambda call: {name: call.params[name]},
    )


ANYBODYS = Whose("", "anybody's", "", READERS, ADMINS, lambda _: {})
OWN = Whose("/me", "one's own", "own_", EVERYBODY, EVERYBODY, _caller)
