"""What a pod does with keys that are changed on any pod."""

from unittest.mock import patch

from twisted.internet.defer import Deferred, succeed

from tests.store.databases import SQLiteCase
from tunnelcloud.domain.key_rotation import KeyUse, host_key_name
from tunnelcloud.pki.host_keys import ALGORITHMS, HostKey
from tunnelcloud.pki.sealing import CannotUnseal
from tunnelcloud.pod import shared_keys
from tunnelcloud.pod.shared_keys import SharedKeys
from tunnelcloud.pod.shared_secrets import take_shared_secrets
from tunnelcloud.store import host_key_rotation, stored_secrets
from tunnelcloud.store.transaction import Change, Resync


class ReadAtOnce:
    """The store, whose answers are there at once."""

    def __init__(self, store):
        self.store = store
        self.reads = 0

    def read(self, function):
        self.reads += 1
        return succeed(self.store.read(function))


class SharedKeyTests(SQLiteCase):
    def setUp(self):
        super().setUp()
        self.store = self.open()
        with patch("tunnelcloud.pki.host_keys._RSA_BITS", 1024):
            self.secrets = take_shared_secrets(self.store, self.directory, None)
        self.reading = ReadAtOnce(self.store)
        self.keys = SharedKeys(self.secrets, self.reading)
        self.heard = []
        self.keys.listen(lambda: self.heard.append(self.keys.host_keys))

    def add(self):
        made = HostKey.create("ssh-ed25519")
        name = host_key_name(made.algorithm, KeyUse.NEW)
        kept = {made.algorithm: self.secrets.sealer.keep(made.private_key, name)}
        self.store.write(host_key_rotation.add_host_keys, kept, [made.fingerprint], version="")
        return made

    def test_a_new_key_is_read_when_it_is_heard_of(self):
        before = self.keys.host_keys
        self.assertEqual(tuple(key.algorithm for key in before.current), ALGORITHMS)
        made = self.add()
        self.keys.changed(Change("tunnel", "tun_1"))
        self.assertEqual((self.keys.host_keys, self.reading.reads), (before, 0))
        self.keys.changed(Change("shared_key", "host keys"))
        self.assertEqual(self.keys.host_keys.new, (made,))
        self.assertEqual(self.keys.host_keys.current, before.current)
        self.assertEqual(self.heard, [self.keys.host_keys])

    def test_what_may_have_been_missed_is_read_and_nothing_told_where_nothing_changed(self):
        self.keys.changed(Resync())
        self.assertEqual((self.reading.reads, self.heard), (1, []))
        self.add()
        self.keys.changed(Resync())
        self.assertEqual(len(self.heard), 1)

    def test_keys_that_are_the_same_are_not_looked_at_again(self):
        looks = []
        read = shared_keys.read_host_keys
        self.patch(shared_keys, "read_host_keys", lambda *one: (looks.append(1), read(*one))[1])
        for _ in range(3):
            self.keys.changed(Resync())
        self.assertEqual((self.reading.reads, len(looks)), (3, 1))
        self.add()
        self.keys.changed(Resync())
        self.assertEqual((len(looks), len(self.heard)), (2, 1))

    def test_keys_that_could_not_be_read_are_looked_at_again(self):
        made, read = self.add(), shared_keys.read_host_keys

        def fail(*_):
            raise CannotUnseal

        self.patch(shared_keys, "read_host_keys", fail)
        self.keys.look()
        self.flushLoggedErrors(CannotUnseal)
        self.assertEqual(self.keys.host_keys.new, ())
        self.patch(shared_keys, "read_host_keys", read)
        self.keys.look()
        self.assertEqual(self.keys.host_keys.new, (made,))

    def test_an_older_answer_is_not_taken_after_a_newer_one(self):
        answers = []
        self.reading.read = lambda function: answers.append(Deferred()) or answers[-1]
        self.keys.look()
        before = self.store.read(stored_secrets.load_all)
        made = self.add()
        self.keys.look()
        self.assertEqual(len(answers), 1)
        answers[0].callback(before)
        answers[1].callback(self.store.read(stored_secrets.load_all))
        self.assertEqual(self.keys.host_keys.new, (made,))

    def test_a_start_between_two_steps(self):
        made = self.add()
        again = take_shared_secrets(self.store, self.directory, None)
        self.assertEqual(again.host_keys.new, (made,))

    def test_what_the_database_keeps_is_sealed(self):
        self.add()
        for content in self.store.read(stored_secrets.load_all).values():
            self.assertNotIn(b"PRIVATE", content)
