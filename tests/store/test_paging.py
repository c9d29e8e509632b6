"""Pages: each row once, in order, whatever comes and goes in between."""

from __future__ import annotations

import base64
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, count_events, make_tunnel
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.domain.events import AuditEvent
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import (
    audit,
    connectors,
    groups,
    pods,
    policies,
    second_factors,
    sessions,
    sites,
    tunnels,
    users,
)
from tunnelcloud.store.errors import BadCursor
from tunnelcloud.store.transaction import Transaction

NAMES = ["b", "a-1", "a", "c9", "a0", "z", "0", "b-b"]


def make_sites(transaction):
    for name in NAMES:
        sites.create(transaction, name=name, title="100%_" if name == "z" else "")


class PagingContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.store.write(make_sites)

    def walk(self, function=sites.list_page, **options):
        found, cursor, pages = [], None, 0
        while True:
            page = self.store.read(function, cursor=cursor, **options)
            found.extend(page.items)
            pages += 1
            if page.next_cursor is None:
                return found, pages
            cursor = page.next_cursor

    def test_every_row_once_and_in_order(self):
        for sort, expected in (
            ("name", sorted(NAMES)),
            ("-name", sorted(NAMES, reverse=True)),
            ("created_at", NAMES),
            ("-created_at", NAMES[::-1]),
        ):
            for limit, pages in ((1, 8), (3, 3), (4, 2), (8, 1), (50, 1)):
                found, count = self.walk(sort=sort, limit=limit)
                self.assertEqual([site.name for site in found], expected, sort)
                self.assertEqual(count, pages)

    def test_equal_values_are_told_apart(self):
        site = self.store.read(sites.SITES.find, "a")
        for name in "uvwxy":
            self.store.write(make_tunnel, site.id, name)
        for sort, expected in (("target_address", "uvwxy"), ("-target_address", "yxwvu")):
            found, _ = self.walk(tunnels.list_page, sort=sort, limit=2)
            self.assertEqual("".join(one.name for one in found), expected)

    def test_users_in_every_order(self):
        """Each order that the pages offer, with rows that are equal by it and rows without it."""
        made = {name: self.store.write(users.create, name=name) for name in ("u", "v", "w")}
        group = self.store.write(groups.create, name="g")
        self.store.write(groups.add_member, group.id, made["u"].id)
        self.store.write(users.update, made["v"].id, {"role": Role.ADMIN, "blocked": True})
        self.store.write(second_factors.begin, made["w"].id, b"sealed")
        self.store.write(second_factors.confirm, made["w"].id, 1, [b"code"])
        self.clock.advance(60)
        self.store.write(users.note_seen, made["v"].id)
        self.clock.advance(60)
        registration = pods.Registration(name="p", version="1", ssh_address="x:1",
                                         connectors_address="x:2")  # fmt: skip
        pod = self.store.write(pods.register, registration)
        login = sessions.LoginRecord("u", "192.0.2.7", "ssh", pod.id)
        self.store.write(sessions.start, made["u"], SessionMethod.KEY, login)
        for sort, expected in (
            ("groups", "vwu"),
            ("role", "vuw"),
            ("blocked", "uwv"),
            ("second_factor", "uvw"),
            ("last_seen", "wvu"),
        ):
            for order, wanted in ((sort, expected), (f"-{sort}", expected[::-1])):
                found, _ = self.walk(users.list_page, sort=order, limit=2)
                self.assertEqual("".join(one.name for one in found), wanted, order)

    def test_each_row_once_in_every_order(self):
        """Of all kinds: what an order is by may be equal in all rows."""
        site = self.store.read(sites.SITES.find, "a")
        for name in "uvwxy":
            self.store.write(make_tunnel, site.id, name)
            self.store.write(connectors.create, name=name, site_id=site.id)
            self.store.write(groups.create, name=name)
            self.store.write(policies.create, name=name)
        for listing, expected in (
            (sites.SITES, sorted(NAMES)),
            (tunnels.TUNNELS, list("uvwxy")),
            (connectors.CONNECTORS, list("uvwxy")),
            (groups.GROUPS, list("uvwxy")),
            (policies.POLICIES, list("uvwxy")),
        ):
            for sort in listing.sorts:
                found, _ = self.walk(listing.list_page, sort=sort, limit=2)
                self.assertEqual(sorted(one.name for one in found), expected, sort)
                back, _ = self.walk(listing.list_page, sort=f"-{sort}", limit=3)
                self.assertEqual(back, found[::-1], sort)
        by_tunnels = self.store.read(sites.list_page, sort="-tunnels", limit=1)
        self.assertEqual(by_tunnels.items[0].name, "a")

    def test_rows_that_come_and_go_shift_nothing(self):
        first = self.store.read(sites.list_page, sort="name", limit=3)
        self.store.write(sites.delete, first.items[0].id)
        self.store.write(sites.create, name="00")
        second = self.store.read(sites.list_page, sort="name", limit=3, cursor=first.next_cursor)
        found = [one.name for one in (*first.items, *second.items)]
        self.assertEqual(found, sorted(NAMES)[:6])

    def test_a_search_takes_its_text_literally(self):
        for wanted, names in (
            ("A", ["a", "a-1", "a0"]),
            ("%", ["z"]),
            ("0%_", ["z"]),
            ("_", ["z"]),
            ("", sorted(NAMES)),
            ("nothing", []),
        ):
            found, _ = self.walk(sort="name", q=wanted)
            self.assertEqual([one.name for one in found], names, wanted)
            self.assertEqual(self.store.read(sites.count, q=wanted), len(names))

    def test_a_cursor_belongs_to_its_order(self):
        page = self.store.read(sites.list_page, sort="name", limit=1)
        for sort in ("-name", "created_at"):
            self.assertRaises(
                BadCursor, self.store.read, sites.list_page, sort=sort, cursor=page.next_cursor
            )

    def test_no_cursor_does_harm(self):
        values = st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text(), max_size=2))
        forged = st.lists(values, max_size=3).map(
            lambda rest: base64.urlsafe_b64encode(json.dumps(["name", *rest]).encode()).decode()
        )

        @given(st.one_of(st.text(max_size=40), forged))
        @settings(
            max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None
        )
        def try_one(cursor):
            try:
                page = self.store.read(sites.list_page, sort="name", cursor=cursor)
            except BadCursor:
                return
            self.assertLessEqual(len(page.items), len(NAMES))

        try_one()

    def test_the_audit_is_searched_by_time_and_kind(self):
        moments = []
        for number in range(4):
            self.clock.advance(60)
            moments.append(self.clock.moment)
            event = AuditEvent("web_login.refused", actor=f"u{number}", source_ip="192.0.2.9")
            self.store.write(Transaction.audit, event)

        def actors(**filters):
            page = self.store.read(audit.list_page, event="web_login.", **filters)
            return [one.event.actor for one in page.items]

        self.assertEqual(actors(), ["u3", "u2", "u1", "u0"])
        self.assertEqual(actors(since=moments[1], until=moments[3]), ["u2", "u1"])
        self.assertEqual(actors(sort="created_at", limit=1), ["u0"])
        self.assertEqual(actors(actor="u2"), ["u2"])
        self.assertEqual(actors(q="U3"), ["u3"])
        self.assertEqual(actors(q="u3 refused"), ["u3"])
        self.assertEqual(actors(q="u3 accepted"), [])
        self.assertEqual(actors(q="u 3 r e f u s e d"), [], "the last word has the rest")
        self.assertEqual(actors(q=" "), [])
        self.assertEqual(actors(source_ip="192.0.2.8"), [])
        self.assertEqual(self.store.read(count_events, event="site.created"), len(NAMES))
        self.assertEqual(self.store.write(audit.forget, moments[0], limit=5), 5)
        self.assertEqual(self.store.write(audit.forget, moments[0], limit=5), 3)
        self.assertEqual(self.store.read(count_events), 4)


class SQLitePagingTests(PagingContract, SQLiteCase):
    pass


class PostgresPagingTests(PagingContract, PostgresCase):
    pass
