"""The admin portal's kinds of objects: what their lists show and what their forms ask for."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import field, frozen

from tunnelcloud.domain import objects as kinds
from tunnelcloud.web.portal.forms import Field, FieldKind, form_fields


@frozen
class Column:
    """A column of a list.

    :ivar kind: how a value is written: a macro of ``cells.html``.
    :ivar order: what the API calls the order by this column; empty where there is none.
    """

    name: str
    heading: str
    kind: str = "plain"
    order: str = ""

    @property
    def is_number(self) -> bool:
        """Whether values align at the right."""
        return self.kind in ("count", "milliseconds")

    @property
    def greatest_first(self) -> bool:
        """Whether the first click shows the greatest first: the latest, or the most."""
        return self.is_number or self.kind in ("time", "seen", "attached")


@frozen
class Related:
    """A sentence above a list that leads to another one.

    :ivar plural: of the kind that the other one lists.
    :ivar text: what of the sentence is the link.
    """

    plural: str
    text: str
    before: str = ""
    after: str = ""


OVERVIEW, ACCESS, ACTIVITY, SETTINGS = "overview", "access", "activity", "settings"
_ALL_TABS = (ACCESS, ACTIVITY, SETTINGS)


@frozen
class Section:
    """One kind of object.

    :ivar plural: as in the API's path.
    :ivar title: of the page that lists them.
    :ivar columns: of the list, after the name.
    :ivar teaching: what it is, for an empty list.
    :ivar assignable: whether it is assigned to people; a new one's form asks to whom.
    :ivar adding: what leads to a new one's form, and heads it.
    :ivar making: what sends it.
    :ivar made: what is said of one that was made.
    :ivar place: the path of its pages, below ``/admin/``.
    :ivar list_page: the page that lists them; another than ``place`` when it lists more than them.
    :ivar form: the template of a new one's form.
    :ivar explains: whether decisions about one can be explained.
    :ivar tabs: the pages of one object after its first, by the last part of their addresses; empty
        where one page shows it all.
    """

    noun: str
    plural: str
    title: str
    columns: Sequence[Column]
    fields: Sequence[Field]
    teaching: str
    example: str
    assignable: bool = False
    adding: str = field()
    making: str = field()
    made: str = "Created {name}."
    related: Related | None = None
    place: str = field()
    list_page: str = field()
    form: str = "admin_form.html"
    explains: bool = False
    tabs: Sequence[str] = ()

    @adding.default
    def _new(self) -> str:
        return f"New {self.noun}"

    @making.default
    def _make(self) -> str:
        return f"Create the {self.noun}"

    @place.default
    def _place(self) -> str:
        return self.plural

    @list_page.default
    def _list_page(self) -> str:
        return f"/admin/{self.place}"

    @property
    def has_list(self) -> bool:
        """Whether a page of its own lists the objects."""
        return self.list_page == f"/admin/{self.place}"

    @property
    def orders(self) -> tuple[str, ...]:
        """Name the ways to order the list; the first is the usual one."""
        columns = [column.order for column in self.columns if column.order]
        return tuple(way for name in ("name", "created_at", *columns) for way in (name, f"-{name}"))

    @property
    def order_choices(self) -> list[tuple[str, str]]:
        """Name the ways to order the list, for people; the usual one has no value."""
        headings = {"name": "Name", "created_at": "Created"}
        headings |= {column.order: column.heading for column in self.columns if column.order}
        return [
            ("" if way == self.orders[0] else way, f"{headings[way.lstrip('-')]}, {direction}")
            for way in self.orders
            for direction in ["descending" if way.startswith("-") else "ascending"]
        ]

    @property
    def id_name(self) -> str:
        """Name the parameter of paths that holds an object's id."""
        return f"{self.noun}_id"


TUNNEL = Section(
    "tunnel",
    "tunnels",
    "Tunnels",
    (
        Column("site_id", "Site", "site", "site"),
        Column("target_address", "Target", "target", "target_address"),
        Column("who", "Who", "who"),
        Column("open", "Open now", "count"),
        Column("health", "State", "health"),
    ),
    form_fields(kinds.TUNNEL),
    "A tunnel publishes the ports of one server in a site to the users and groups you choose.",
    "tunnelcloud tunnel create db --site paris --address 10.0.0.5 --port 5432",
    assignable=True,
    explains=True,
    tabs=_ALL_TABS,
)
SITE = Section(
    "site",
    "sites",
    "Sites",
    (
        Column("connectors", "Connectors", "attached", "connectors"),
        Column("tunnels", "Tunnels", "count", "tunnels"),
        Column("health", "State", "health"),
    ),
    form_fields(kinds.SITE),
    "A site is a private network; its connectors reach its servers.",
    "tunnelcloud site create paris",
    related=Related("connectors", "All connectors"),
    tabs=(ACTIVITY, SETTINGS),
)

CONNECTOR = Section(
    "connector",
    "connectors",
    "Connectors",
    (
        Column("site_id", "Site", "site", "site"),
        Column("status", "State", "status"),
        Column("version", "Version", order="version"),
        Column("last_seen_at", "Last seen", "time", "last_seen_at"),
        Column("round_trip_ms", "Round trip", "milliseconds"),
        Column("load", "Channels", "count"),
        Column("certificate_expires_at", "Certificate ends", "time", "certificate_expires_at"),
    ),
    form_fields(kinds.CONNECTOR),
    "A connector runs in a site, dials out to the pods, and connects to the targets.",
    "tunnelcloud connector create paris-1 --site paris",
    adding="Add a connector",
    making="Add it, and show its command",
    related=Related("sites", "All sites"),
    tabs=(ACTIVITY, SETTINGS),
)

USER = Section(
    "user",
    "users",
    "Users",
    (
        Column("role", "Role", order="role"),
        Column("source", "Source"),
        Column("groups", "Groups", "count", "groups"),
        Column("second_factor", "Second factor", order="second_factor"),
        Column("last_seen", "Last seen", "seen", "last_seen"),
        Column("state", "State", "user_state", "blocked"),
    ),
    form_fields(kinds.USER),
    "A user is a person or a service account who may open what is assigned to them.",
    "tunnelcloud user create alice",
    related=Related("unused", "Not used for 90 days", after=": users, keys and assignments."),
    explains=True,
    tabs=_ALL_TABS,
)
GROUP = Section(
    "group",
    "groups",
    "Groups",
    (
        Column("members", "Members", "count", "members"),
        Column("tunnels", "Tunnels", "count", "tunnels"),
    ),
    form_fields(kinds.GROUP),
    "You assign tunnels to a group; all of its members may open them.",
    "tunnelcloud group create dba",
    tabs=_ALL_TABS,
)

POLICY = Section(
    "policy",
    "policies",
    "Policies",
    (Column("sentence", "Conditions"), Column("used", "Assignments", "count", "used")),
    form_fields(kinds.POLICY),
    "A policy limits an assignment: from where, when, for how long. All conditions must hold.",
    "tunnelcloud policy create office --source 10.0.0.0/8",
    form="admin_policy.html",
    tabs=(ACTIVITY, SETTINGS),
)


def _with_secret(fields: Sequence[Field]) -> tuple[Field, ...]:
    """Put the client's secret, which is kept apart from the kind's fields, behind its id."""
    secret = Field(
        "client_secret", "Client secret", FieldKind.SECRET,
        "It is never shown again. A public client (PKCE only) has none",
    )  # fmt: skip
    behind = [one.name for one in fields].index("client_id") + 1
    return (*fields[:behind], secret, *fields[behind:])


IDENTITY_PROVIDER = Section(
    "identity_provider",
    "identity-providers",
    "Settings",
    (),
    _with_secret(form_fields(kinds.IDENTITY_PROVIDER)),
    "People press its button on the sign-in page, sign in there, and come back.",
    "tunnelcloud identity-provider create corp --issuer https://login.example.com"
    " --client-id tunnelcloud --client-secret-file FILE",
    adding="Add a sign-in provider",
    making="Add the provider",
    made="The provider is added. Give it the redirect URI below, then test it",
    place="settings/providers",
    list_page="/admin/settings#providers",
    form="admin_identity_provider_new.html",
)
SECTIONS = (TUNNEL, SITE, CONNECTOR, USER, GROUP, POLICY)
"""Those with a list and a place among the pages' headings."""

EVERY_SECTION = (*SECTIONS, IDENTITY_PROVIDER)
