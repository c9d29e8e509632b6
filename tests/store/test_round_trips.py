"""Whatever an entity may hold reads as it was written, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.store.databases import PostgresCase, SQLiteCase
from tunnelcloud.domain.objects.sites import PortRange, TargetCheck
from tunnelcloud.domain.schedule import Window
from tunnelcloud.store import policies, sites, tunnels
from tunnelcloud.store.column_types import from_milliseconds, to_milliseconds
from tunnelcloud.store.object_writes import version_of

# NUL is the one character that PostgreSQL's text can't hold; validation keeps it out.
texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"))
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC)).map(
    lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000)
)
counts = st.none() | st.integers(0, 2**53)
ports = st.lists(
    st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(
        lambda two: PortRange(*sorted(two))
    ),
    min_size=1,
    max_size=20,
).map(tuple)
clock_times = st.builds(time, st.integers(0, 23), st.integers(0, 59))
windows = st.builds(
    Window,
    st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    clock_times,
    clock_times,
    st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]),
)
quick = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


class RoundTripContract:
    def test_tunnels(self):
        store = self.open()
        site = store.write(sites.create, name="paris")
        names = iter(range(10**6))

        @given(
            st.fixed_dictionaries(
                {
                    "title": texts,
                    "target_address": texts,
                    "target_ports": ports,
                    "local_port_offset": st.integers(-65535, 65535),
                    "enabled": st.booleans(),
                    "icon": texts,
                    "description": texts,
                    "target_check": st.sampled_from(TargetCheck),
                }
            )
        )
        @quick
        def try_one(fields):
            made = store.write(tunnels.create, name=f"t{next(names)}", site_id=site.id, **fields)
            for name, value in fields.items():
                self.assertEqual(getattr(made, name), value)
            found = store.read(tunnels.get, made.id)
            self.assertEqual(found, made)
            self.assertEqual(version_of(found), version_of(made))

        try_one()

    def test_policies(self):
        store = self.open()
        names = iter(range(10**6))

        @given(
            st.fixed_dictionaries(
                {
                    "source_networks": st.lists(texts, max_size=3).map(tuple),
                    "windows": st.lists(windows, max_size=3).map(tuple),
                    "valid_from": st.none() | moments,
                    "valid_until": st.none() | moments,
                    "max_session_seconds": counts,
                    "max_channels": counts,
                }
            )
        )
        @quick
        def try_one(fields):
            begins, ends = fields["valid_from"], fields["valid_until"]
            assume(begins is None or ends is None or begins < ends)
            made = store.write(policies.create, name=f"p{next(names)}", **fields)
            for name, value in fields.items():
                self.assertEqual(getattr(made, name), value)
            self.assertEqual(store.write(policies.update, made.id, fields), made)

        try_one()

    def test_times_lose_less_than_a_millisecond(self):
        @given(st.datetimes(timezones=st.just(UTC)))
        def try_one(moment):
            lost = moment - from_milliseconds(to_milliseconds(moment))
            self.assertTrue(timedelta(0) <= lost < timedelta(milliseconds=1))

        try_one()


class SQLiteRoundTripTests(RoundTripContract, SQLiteCase):
    pass


class PostgresRoundTripTests(RoundTripContract, PostgresCase):
    pass
