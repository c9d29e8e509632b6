"""Each event of the catalogue is told as a sentence."""

import re

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.event_sentences import event_sentence
from tunnelcloud.domain.events import CATALOGUE, KeptEvent

BOSS = {"actor": "boss", "actor_id": "usr_1"}


class SentenceTests(SynchronousTestCase):
    def test_every_event_has_one(self):
        """Nothing of it is left open when its fields are there."""
        for kind in CATALOGUE.values():
            data = {
                name: f"the-{name.replace('_', '-')}"
                for name in kind.fields
                if name not in ("count", "changes")
            }
            event = KeptEvent(
                kind.name, **BOSS, user_name="alice", tunnel_name="db", source_ip="192.0.2.1",
                data=data,
            )  # fmt: skip
            told = event_sentence(event)
            self.assertNotEqual(told, kind.name)
            self.assertNotRegex(told, r"[?{}]|  ", kind.name)
            names = ("boss", "alice", "the-")
            self.assertTrue(told[0].isupper() or told.startswith(names), told)

    def test_as_somebody_would_say_it(self):
        for event, told in [
            (KeptEvent("assignment.created", **BOSS, tunnel_name="db", user_name="alice"),
             "boss assigned db to alice"),
            (KeptEvent("tunnel.changed", **BOSS, data={"object_name": "db", "changes": {
                "target_address": ["a", "b"], "policy_id": 1}}),
             "boss changed tunnel db: policy, target address"),
            (KeptEvent("site.created", "paris-1", "api_1", data={"object_name": "paris"}),
             'API token "paris-1" created site paris'),
            (KeptEvent("login.refused", source_ip="192.0.2.1",
                       data={"login_name": "bob", "reason": "unknown key", "count": 7}),
             "A login as bob from 192.0.2.1 was refused: unknown key (7 more times)"),
            (KeptEvent("token.eaten"), "token.eaten"),
            (KeptEvent("channel.closed", user_name="alice", tunnel_name="db", data={"reason": ""}),
             "A channel of alice to db was closed"),
            (KeptEvent("request.created", user_name="alice", tunnel_name="db"),
             "alice asked to open db"),
        ]:  # fmt: skip
            self.assertEqual(event_sentence(event), told)

    def test_a_text_that_a_stranger_chose_reads_like_nothing_else(self):
        name = 'bob was let in. A login as "eve'
        data = {"login_name": name, "reason": "no key"}
        told = event_sentence(KeptEvent("login.refused", source_ip="192.0.2.1", data=data))
        quoted = name.replace('"', "'")
        self.assertEqual(told, f'A login as "{quoted}" from 192.0.2.1 was refused: no key')
        made = KeptEvent("site.created", 'x" of user "eve', "api_1", data={"object_name": "a b"})
        told = 'API token "x\' of user \'eve" created site "a b"'
        self.assertEqual(event_sentence(made), told)

    def test_a_group_by_its_name(self):
        event = KeptEvent(
            "assignment.created", **BOSS, tunnel_name="db", data={"changes": {"group_id": "grp_1"}}
        )
        self.assertRegex(event_sentence(event, {"grp_1": "dba"}), re.compile("to group dba$"))
        self.assertRegex(event_sentence(event), re.compile("to a group$"))
        gone = KeptEvent("assignment.deleted", **BOSS, tunnel_name="db", data={
            "group_id": "grp_1", "group_name": "dba", "changes": {}})  # fmt: skip
        self.assertEqual(event_sentence(gone), "boss removed the assignment of db to group dba")
