"""One request for a page, and its answers; this module knows no page and no query."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any

from attrs import field, frozen
from twisted.web.server import Request

from tunnelcloud.domain.addresses import party_of
from tunnelcloud.domain.objects.users import Role, User
from tunnelcloud.store.pending_counts import NOTHING, Waiting
from tunnelcloud.web.routes import ANONYMOUS, Caller

_PARAMETER = re.compile(r"\{([a-z_]+)\}")


@frozen
class SignedIn:
    """The visitor, and the sign-in they use.

    :ivar waiting: what waited for their answer when they came.
    """

    user: User
    web_session_id: str
    waiting: Waiting = NOTHING

    @property
    def caller(self) -> Caller:
        """The same person, as a caller of the API's operations."""
        user = self.user
        return Caller(user.id, user.name, user.role, user.id, web_session_id=self.web_session_id)


@frozen
class Visit:
    """One checked request for a page: the visitor may open it, and a POST is a form of ours.

    :ivar address: as it was asked for, with its query.
    :ivar csrf: what forms on the page are to send back.
    :ivar step: what the browser keeps of a sign-in that is half done; empty without one.
    :ivar device: what it keeps of who signed in from it.
    :ivar tools: what it keeps of the tools that were used last.
    :ivar unfinished: the form that it keeps, which was sent after its sign-in had ended.
    :ivar once: what a form handed to this page, which shows it this one time; empty without.
    :ivar cannot_work: whether the browser is going to withhold our cookies.
    """

    address: str
    source_ip: str
    csrf: str = field(repr=False)
    cannot_work: bool = False
    params: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str] = field(factory=dict)
    form: Mapping[str, tuple[str, ...]] = field(factory=dict, repr=False)
    user_agent: str = ""
    step: str = field(default="", repr=False)
    device: str = field(default="", repr=False)
    tools: str = ""
    unfinished: str = field(default="", repr=False)
    once: Mapping[str, Any] = field(factory=dict, repr=False)
    signed_in: SignedIn | None = None

    @property
    def path(self) -> str:
        """Give the address without its query."""
        return self.address.partition("?")[0]

    @property
    def party(self) -> str:
        """Give who takes turns with others: a user, or the network of whoever isn't signed in."""
        if self.signed_in is not None:
            return self.signed_in.user.id
        return party_of(self.source_ip)

    def who(self) -> SignedIn:
        """Return the visitor of a page that isn't for anonymous visitors."""
        assert self.signed_in is not None, "the page is for anybody"
        return self.signed_in

    def typed(self, name: str) -> str:
        """Return the text typed into a field of the form, or an empty text."""
        values = self.form.get(name, ())
        return values[0] if values else ""


@frozen
class Shown:
    """A page.

    :ivar tools: what the browser is to keep of the tools used last; empty keeps what it has.
    """

    template: str
    values: Mapping[str, Any] = field(factory=dict, repr=False)
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)
    tools: str = ""


@frozen
class Moved:
    """Go there instead.

    :ivar session: the secret of a sign-in to keep in the browser; empty forgets the one there.
    :ivar note: what was done, for the page that comes next.
    :ivar step: what to keep of a sign-in that is half done, likewise.
    :ivar device: what to keep of who signed in from this browser; empty keeps what it has.
    :ivar once: what the page there is to show one time, such as a secret that was made: values of
        JSON, 2 KiB at most.
    """

    location: str
    session: str | None = field(default=None, repr=False)
    note: str = ""
    step: str | None = field(default=None, repr=False)
    device: str = field(default="", repr=False)
    once: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen
class Download:
    """A file, made while it is sent.

    :ivar name: what a browser calls it.
    """

    name: str
    content_type: str
    chunks: AsyncGenerator[bytes, None]


@frozen
class Followed:
    """An answer that goes on as long as its reader stays.

    :ivar begin: takes the request over.
    """

    begin: Callable[[Request], object]


Reply = Shown | Moved | Download | Followed
PageHandler = Callable[[Visit], Awaitable[Reply]]


@frozen
class PageRoute:
    """A row of the page table; as ``tunnelcloud.web.routes.Route`` is one of the API's.

    :ivar shared: whether the parts that keep themselves fresh are the same for all of a role.
    :ivar query: which fields of a query those parts depend on.
    :ivar wakes: kinds of changes after which they are looked at at once.
    """

    method: str
    path: str
    roles: frozenset[Role]
    handler: PageHandler
    shared: bool = False
    query: frozenset[str] = frozenset()
    wakes: frozenset[str] = frozenset()
    _pattern: re.Pattern[str] = field(init=False)

    @_pattern.default
    def _compiled(self) -> re.Pattern[str]:
        # Here and not at the first request, which would wait in the reactor's thread for all rows.
        return re.compile(_PARAMETER.sub(r"(?P<\1>[A-Za-z0-9_-]{1,64})", self.path))

    @property
    def anonymous(self) -> bool:
        """Whether visitors need no sign-in."""
        return self.roles == ANONYMOUS

    def match(self, path: str) -> dict[str, str] | None:
        """Give the parameters of a path that is this page's; None for another's."""
        found = self._pattern.fullmatch(path)
        return None if found is None else found.groupdict()


def values_of(visit: Visit, reply: Shown, note: str) -> dict[str, Any]:
    """Return the values that a page's template may use.

    :param note: what was done just before; empty for nothing.
    """
    common = {
        "user": None if visit.signed_in is None else visit.signed_in.user,
        "csrf": visit.csrf,
        "cannot_work": visit.cannot_work,
        "path": visit.path,
        "note": note,
        "waits_for_visitor": NOTHING if visit.signed_in is None else visit.signed_in.waiting,
    }
    return {**common, **reply.values}
