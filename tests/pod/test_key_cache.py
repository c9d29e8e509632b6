"""Keys in memory: what is kept, and what a change does to it."""

from datetime import UTC, datetime

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW
from tunnelcloud.domain.entities import Key
from tunnelcloud.pod import key_cache
from tunnelcloud.pod.key_cache import Held, KeyRing
from tunnelcloud.store.transaction import Change, Resync

HELD = Held(Key("key_1", "", NOW, "usr_1", "ssh-ed25519 AAAA", "SHA256:x"), False)


class KeyRingTests(SynchronousTestCase):
    def setUp(self):
        self.asked = []
        self.ring = KeyRing(self.find)

    def find(self, blob):
        self.asked.append(Deferred())
        return self.asked[-1]

    def hold(self, found=HELD):
        answer = self.ring.get(b"blob")
        self.asked[-1].callback(found)
        self.assertEqual(self.successResultOf(answer), found)

    def asks_again(self):
        before = len(self.asked)
        self.ring.get(b"blob")
        return len(self.asked) > before

    def test_found_once(self):
        self.hold()
        self.assertEqual(self.successResultOf(self.ring.get(b"blob")), HELD)
        self.assertFalse(self.asks_again())

    def test_nothing_of_an_unknown_key(self):
        self.hold(None)
        self.assertTrue(self.asks_again())

    def test_nothing_of_a_key_that_will_end(self):
        ending = Key("key_1", "", NOW, "usr_1", "", "", expires_at=datetime(2100, 1, 1, tzinfo=UTC))
        self.hold(Held(ending, False))
        self.assertTrue(self.asks_again())

    def test_changes(self):
        for change in (Change("key", "key_1"), Change("user", "usr_1"), Resync()):
            self.hold()
            self.ring.changed(change)
            self.assertTrue(self.asks_again(), change)

    def test_what_has_nothing_to_do_with_keys(self):
        self.hold()
        self.ring.changed(Change("tunnel", "tun_1"))
        self.assertFalse(self.asks_again())

    def test_a_change_while_it_is_looked_up(self):
        self.ring.get(b"blob")
        self.ring.changed(Change("key", "key_1"))
        self.asked[-1].callback(HELD)
        self.assertTrue(self.asks_again())

    def test_bounded(self):
        self.patch(key_cache, "KEPT_AT_MOST", 3)
        for number in range(5):
            self.ring.get(b"%d" % number)
            self.asked[-1].callback(HELD)
        self.ring.get(b"4")
        self.assertEqual(len(self.asked), 5)
        self.ring.get(b"0")
        self.assertEqual(len(self.asked), 6)
