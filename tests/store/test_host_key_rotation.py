"""Host keys take each other's place, one step at a time."""

import time

from tests.store.databases import PostgresCase, SQLiteCase
from tests.store.material import events_of
from tests.store.records import RecordCase
from tunnelcloud.domain.key_rotation import KeyUse, host_key_name
from tunnelcloud.store import host_key_rotation, pods, stored_secrets
from tunnelcloud.store.errors import Conflict
from tunnelcloud.store.pods import Registration

VERSION = "2"
NAME = "ssh-ed25519"


def rename(content, name, other):
    """What a sealer would do: the content says under which name it stands."""
    assert content.endswith(f" as {name}".encode()), (content, name)
    return content.removesuffix(f" as {name}".encode()) + f" as {other}".encode()


def shown(content, name):
    return content.partition(b" ")[0].decode()


class HostKeyContract(RecordCase):
    def setUp(self):
        super().setUp()
        self.name = {use: host_key_name(NAME, use) for use in KeyUse}
        self.current = self.name[KeyUse.CURRENT]
        self.store.write(
            stored_secrets.keep_first, self.current, f"first as {self.current}".encode()
        )

    def kept(self):
        found = self.store.read(stored_secrets.load_all)
        return {use: shown(found[name], "") for use, name in self.name.items() if name in found}

    def add(self, key="second", version=VERSION):
        made = {NAME: f"{key} as {self.name[KeyUse.NEW]}".encode()}
        self.store.write(host_key_rotation.add_host_keys, made, [key], version=version)

    def promote(self, version=VERSION):
        self.store.write(host_key_rotation.promote_host_keys, rename, shown, version=version)

    def retire(self):
        self.store.write(host_key_rotation.remove_host_keys, shown)

    def test_new_then_current_then_alone(self):
        self.add()
        self.assertEqual(self.kept(), {KeyUse.CURRENT: "first", KeyUse.NEW: "second"})
        self.promote()
        self.assertEqual(self.kept(), {KeyUse.CURRENT: "second", KeyUse.OLD: "first"})
        self.retire()
        self.assertEqual(self.kept(), {KeyUse.CURRENT: "second"})
        found = [one for one in self.store.read(events_of) if one.startswith("host_key")]
        steps = ["host_key.created", "host_key.promoted", "host_key.deleted"]
        self.assertEqual(found, steps)

    def test_steps_out_of_turn_are_refused_and_change_nothing(self):
        self.assertIn("host-key rotate", str(self.assertRaises(Conflict, self.promote)))
        self.assertRaises(Conflict, self.retire)
        self.add()
        self.assertRaises(Conflict, self.add, "third")
        self.promote()
        self.assertRaises(Conflict, self.add, "third")
        self.assertRaises(Conflict, self.promote)
        self.assertEqual(self.kept(), {KeyUse.CURRENT: "second", KeyUse.OLD: "first"})

    def test_a_new_key_that_was_never_used_is_forgotten(self):
        self.add()
        self.retire()
        self.assertEqual(self.kept(), {KeyUse.CURRENT: "first"})

    def test_pods_of_one_version_only(self):
        registration = Registration("pod-9", "1", "nine:2222", "nine:8443", "first", "home")
        self.store.write(pods.register, registration, shared=True)
        error = self.assertRaises(Conflict, self.add)
        self.assertIn("pod-9 runs version 1 and this one 2", str(error))
        self.add(version="1")
        self.assertRaises(Conflict, self.promote)
        self.promote(version="1")


class SQLiteHostKeyTests(HostKeyContract, SQLiteCase):
    pass


class PostgresHostKeyTests(HostKeyContract, PostgresCase):
    def test_of_two_pods_at_once_one_is_told_that_it_came_second(self):
        """It has found no new keys, and waits for the other to be done."""

        def waits(transaction):
            query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            return transaction.connection.exec_driver_sql(query).scalar() > 0

        def first(transaction):
            new = self.name[KeyUse.NEW]
            made = {one: {NAME: f"{one} as {new}".encode()} for one in ("second", "third")}
            host_key_rotation.add_host_keys(
                transaction, made["second"], ["second"], version=VERSION
            )
            soon = self.store.write_soon(
                host_key_rotation.add_host_keys, made["third"], ["third"], version=VERSION
            )
            self.assertTrue(any(waits(transaction) or time.sleep(0.01) for _ in range(6000)))
            return soon

        self.assertRaises(Conflict, self.store.write(first).result)
        self.assertEqual(self.kept(), {KeyUse.CURRENT: "first", KeyUse.NEW: "second"})
        made = [one for one in self.store.read(events_of) if one == "host_key.created"]
        self.assertEqual(len(made), 1)
