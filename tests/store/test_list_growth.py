"""What lists and searches cost SQLite grows no faster than what there is.

Its own steps are counted, which are the same on every machine: for some objects, for twice and for
four times as many.
"""

from datetime import UTC, datetime

from tests.store.databases import SQLiteCase
from tests.store.material import BOTH, make_tunnel
from tunnelcloud.store import (
    assignments,
    audit,
    connectors,
    groups,
    latest_events,
    policies,
    sites,
    tunnels,
    users,
)

SIZES = (40, 80, 160)
LINEAR = 2.6
"""The most that twice as much may cost: 2 is linear, 4 quadratic."""

LEAST = 2000
"""So many steps are little, whatever there is."""

OLD = datetime(2026, 1, 1, tzinfo=UTC)
FILTERS = {
    tunnels: {
        "q": "nothing", "enabled": False, "target_address": "10.9.9.9", "user_id": "usr_none",
        "group_id": "grp_none", "method": "key", "assigned": False, "unused_since": OLD,
    },
    users: {
        "q": "nothing", "name": "nobody", "role": "auditor", "service": True, "blocked": True,
        "group_id": "grp_none", "second_factor": True, "unused_since": OLD,
    },
    groups: {"q": "nothing", "user_id": "usr_none", "has_members": False, "assigned": False},
    policies: {"q": "nothing", "used": False},
    connectors: {"q": "nothing", "site_id": "sit_none", "joined": True},
}  # fmt: skip
"""Values that no row, or few, have: the whole list has to be looked through."""


def fill(transaction, begin, end):
    """Make objects with numbers, each of which is bound to the others of its number."""
    paris = sites.SITES
    site = paris.find(transaction, "paris") if begin else sites.create(transaction, name="paris")
    for number in range(begin, end):
        tunnel = make_tunnel(transaction, site.id, f"t{number}")
        user = users.create(transaction, name=f"u{number}")
        group = groups.create(transaction, name=f"g{number}")
        groups.add_member(transaction, group.id, user.id)
        policy = policies.create(transaction, name=f"p{number}", source_networks=("10.0.0.0/8",))
        assignments.create(
            transaction, tunnel_id=tunnel.id, methods=BOTH, group_id=group.id, policy_id=policy.id
        )
        connectors.create(transaction, site_id=site.id, name=f"c{number}")
    return site


class GrowthTests(SQLiteCase):
    def steps(self, work):
        """Count SQLite's steps in some work, in tens."""

        def counted(transaction):
            count = 0

            def note():
                nonlocal count
                count += 1

            raw = transaction.connection.connection.driver_connection
            raw.set_progress_handler(note, 10)
            try:
                work(transaction)
            finally:
                raw.set_progress_handler(None, 0)
            return 10 * count

        return self.store.read(counted)

    def looks(self):
        """Give what is looked for, by a name."""
        for module, filters in FILTERS.items():
            for name, value in filters.items():
                yield (
                    f"{module.__name__.rpartition('.')[2]} by {name}",
                    lambda one, m=module, f={name: value}: m.list_page(one, limit=50, **f),
                )
        for kind in latest_events.EVENTS:
            yield (
                f"activity of a {kind}",
                lambda one, k=kind: latest_events.latest_of(one, k, self.site.id),
            )
        for words in ("nothing", "no such words"):
            yield f"the audit by {words}", lambda one, w=words: audit.list_page(one, q=w, limit=50)

    def test_lists_searches_and_activity(self):
        self.store = self.open()
        found, begin = {}, 0
        for size in SIZES:
            self.site = self.store.write(fill, begin, size)
            begin = size
            for name, look in self.looks():
                found.setdefault(name, []).append(self.steps(look))
        for name, (*_, before, after) in found.items():
            self.assertLess(after, max(LINEAR * before, LEAST), f"{name}: {found[name]}")
