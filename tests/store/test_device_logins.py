"""Command lines that wait: let in once, by who is signed in, in time."""

from __future__ import annotations

from datetime import timedelta

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import MovingClock, make_world
from tunnelcloud.domain.addresses import source_group, source_groups
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import api_tokens, audit, device_logins, users
from tunnelcloud.store.device_logins import LIFETIME_SECONDS, MAX_OF_A_SOURCE, Progress

CODE = "WDJB-MJHT"
MONTH = timedelta(days=30)


class DeviceLoginContract:
    def setUp(self):
        super().setUp()
        self.clock = MovingClock()
        self.store = self.open(self.clock)
        self.world = self.store.write(make_world)
        self.alice = self.world.alice.id

    def begin(self, secret=b"secret", code=CODE, source="192.0.2.1"):
        return self.store.write(
            device_logins.begin,
            secret_hash=secret,
            user_code=code,
            client="laptop",
            source_ip=source,
            source=source_group(source),
        )

    def decide(self, user=None, allowed=True):
        return self.store.write(device_logins.decide, CODE, user or self.alice, allowed=allowed)

    def poll(self, secret=b"secret", token=b"token"):
        self.clock.advance(5)
        return self.store.write(device_logins.poll, secret, token, MONTH)

    def test_it_is_let_in_once(self):
        self.assertTrue(self.begin())
        self.assertEqual(self.poll().progress, Progress.PENDING)
        self.assertEqual(self.store.read(device_logins.find, CODE).client, "laptop")
        self.assertTrue(self.decide())
        self.assertIsNone(self.store.read(device_logins.find, CODE))
        polled = self.poll()
        self.assertEqual(polled.progress, Progress.ALLOWED)
        self.assertEqual((polled.token.role, polled.token.user_id), (Role.USER, self.alice))
        self.assertEqual(polled.token.expires_at, self.clock.moment + MONTH)
        self.assertEqual(self.store.read(api_tokens.authenticate, b"token"), polled.token)
        self.assertEqual(self.poll(token=b"other").progress, Progress.OVER)
        (event,) = self.store.read(audit.list_page, event="device_login.allowed").items
        self.assertEqual(event.event.data, {"client": "laptop", "from": "192.0.2.1"})

    def test_the_first_decision_counts(self):
        self.begin()
        self.assertTrue(self.decide(allowed=False))
        self.assertFalse(self.decide(self.world.bob.id))
        self.assertEqual(self.poll().progress, Progress.DENIED)
        self.assertEqual(self.poll().progress, Progress.OVER)
        self.assertEqual(self.store.read(api_tokens.API_TOKENS.count), 0)

    def test_it_ends_in_time(self):
        self.begin()
        self.clock.advance(LIFETIME_SECONDS)
        self.assertIsNone(self.store.read(device_logins.find, CODE))
        self.assertFalse(self.decide())
        self.assertEqual(self.poll().progress, Progress.OVER)

    def test_nobody_else_learns_of_it(self):
        self.begin()
        self.decide()
        self.assertEqual(self.poll(b"guess").progress, Progress.OVER)
        self.assertEqual(self.poll().progress, Progress.ALLOWED)

    def test_who_was_blocked_meanwhile(self):
        self.begin()
        self.decide()
        self.store.write(users.update, self.alice, {"blocked": True})
        self.assertEqual(self.poll().progress, Progress.DENIED)

    def test_who_asks_too_often_is_told(self):
        self.begin()
        self.poll()
        soon = self.store.write(device_logins.poll, b"secret", b"token", MONTH)
        self.assertEqual(soon.progress, Progress.TOO_SOON)

    def test_many_of_one_source_cost_no_more_than_one(self):
        """Each is begun in the one thread that writes, where logins wait for it."""
        looked_at = []

        def look(address):
            looked_at.append(address)
            return source_groups(address)

        self.patch(device_logins, "source_groups", look)

        def cost(numbers):
            for number in numbers:
                looked_at.clear()
                source = f"192.0.2.{number % 3}"
                self.assertTrue(self.begin(b"%d" % number, f"code-{number}", source))
            return len(looked_at)

        few = cost(range(30))
        self.assertEqual(cost(range(30, 120)), few)

    def test_one_source_has_only_so_many_waiting(self):
        for number in range(MAX_OF_A_SOURCE):
            self.assertTrue(self.begin(bytes([number]), f"code-{number}"))
        self.assertFalse(self.begin(b"x", "code-x"))
        self.assertTrue(self.begin(b"y", "code-y", "192.0.2.2"))
        self.clock.advance(LIFETIME_SECONDS)
        self.assertTrue(self.begin(b"x", "code-x"))

    def test_of_all_sources_together_whoever_has_most_makes_room(self):
        self.patch(device_logins, "MAX_WAITING", 3)
        for number in range(2):
            self.clock.advance(0.01)
            self.assertTrue(self.begin(bytes([number]), f"code-{number}", "198.51.100.7"))
        self.assertTrue(self.begin(b"a", "code-a", "192.0.2.1"))
        self.assertFalse(self.begin(b"c", "code-c", "198.51.100.7"))
        self.assertTrue(self.begin(b"b", "code-b", "203.0.113.2"))
        found = [
            self.store.read(device_logins.find, code) is not None
            for code in ("code-0", "code-1", "code-a", "code-b")
        ]
        self.assertEqual(found, [False, True, True, True])

    def test_many_networks_of_one_site_push_nobody_out(self):
        """Whoever rents a machine has 65,536 networks of IPv6."""
        self.patch(device_logins, "MAX_WAITING", 6)
        self.assertTrue(self.begin(b"a", "code-a", "192.0.2.1"))
        for number in range(30):
            self.clock.advance(0.01)
            self.begin(bytes([number]), f"code-{number}", f"2001:db8:0:{number:x}::1")
        self.assertIsNotNone(self.store.read(device_logins.find, "code-a"))
        self.assertTrue(self.begin(b"b", "code-b", "203.0.113.2"))

    def test_a_site_has_a_share(self):
        """Beyond it nothing is written for it, as a question before the write tells."""
        self.patch(device_logins, "MAX_OF_A_SOURCE", 2)
        begun = [
            self.store.read(device_logins.has_room, f"2001:db8:0:{number * 256:x}::1")
            and self.begin(bytes([number]), f"code-{number}", f"2001:db8:0:{number * 256:x}::1")
            for number in range(20)
        ]
        self.assertEqual(sum(begun), 8)
        self.assertTrue(self.store.read(device_logins.has_room, "2001:db9::1"))


class SQLiteDeviceLoginTests(DeviceLoginContract, SQLiteCase):
    pass


class PostgresDeviceLoginTests(DeviceLoginContract, PostgresCase):
    pass
