from datetime import timedelta

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, approval, grant, policy, tunnel, view
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.policies import Approval
from tunnelcloud.domain.policy import Ask, decide, no_destination_text
from tunnelcloud.domain.schedule import BadWindow, parse_window


def ask(host="db-prod", port=5432, **changes) -> Ask:
    fields = {"method": Method.KEY, "source_ip": "192.0.2.7", "at": NOW, **changes}
    return Ask(host=host, port=port, **fields)


class DecisionTests(SynchronousTestCase):
    def reason(self, *grants, **changes):
        decision = decide(view(*grants), ask(**changes))
        self.assertEqual(decision.allowed, decision.reason == "")
        self.assertEqual(decision.allowed, all(rule.passed for rule in decision.rules))
        return decision.reason

    def test_allowed(self):
        self.assertEqual(self.reason(grant(tunnel("db-prod"))), "")

    def test_reasons_are_those_of_the_contract(self):
        db = tunnel("db-prod")
        self.assertEqual(
            self.reason(grant(db), port=5433), "db-prod: port 5433 is not published (5432 is)"
        )
        self.assertEqual(
            self.reason(grant(db, [Method.TOKEN])),
            "db-prod: needs a one-time token, this session used a key",
        )
        office = policy(windows=(parse_window("Mon-Thu 09:00-18:00 Europe/Paris"),))
        self.assertEqual(
            self.reason(grant(db, policies=(office,))), "db-prod: opens Mon 09:00 Europe/Paris"
        )

    def test_an_approval_as_a_pod_sees_it_whose_clock_is_off(self):
        """One that is behind doesn't wait for the beginning; one that is ahead ends it early."""
        asking, db = policy(approval=Approval.OTHERS), tunnel("db-prod")
        hour = timedelta(hours=1)
        given = approval(asking, db, starts_at=NOW + hour, ends_at=NOW + 2 * hour)
        one = evolve(view(grant(db, policies=(asking,))), approved=(given,))
        for late, allowed in ((0, True), (1, True), (2, False), (9, False)):
            decision = decide(one, ask(at=NOW + late * hour))
            self.assertEqual(decision.allowed, allowed, late)

    def test_no_grant_and_no_tunnel_read_the_same(self):
        self.assertEqual(self.reason(), self.reason(grant(tunnel("other", "10.9.9.9"))))

    def test_several_tunnels_on_one_address(self):
        """The refusal of a port names all that is published where the host leads."""
        first, second = tunnel("db-a", "10.9.9.9"), tunnel("db-b", "10.9.9.9")
        self.assertEqual(
            self.reason(grant(first), grant(second), host="10.9.9.9", port=1),
            "10.9.9.9: port 1 is not published (5432 of db-a, 5432 of db-b are)",
        )

    def test_outside_the_scope(self):
        """A login for one tunnel says so of another that the user has, and of no other."""
        db, web = tunnel("db"), tunnel("web", "10.9.9.9")
        grants = grant(db), grant(web)
        text = "web: this login is for db only, by its token or its login name"
        for host, port in (("web", 5432), ("10.9.9.9", 5432), ("web", 1)):
            self.assertEqual(self.reason(*grants, host=host, port=port, only=db.id), text)
        for host in ("other", "10.8.8.8"):
            self.assertEqual(
                self.reason(*grants, host=host, port=5432, only=db.id),
                no_destination_text(host, 5432),
            )

    def test_brackets(self):
        """An IPv6 address and a port are told apart."""
        self.assertIn("[2001:db8::1]:5432: no tunnel of yours", self.reason(host="2001:db8::1"))

    def test_every_condition(self):
        for conditions, changes, text in [
            ({"source_networks": ("10.0.0.0/8",)}, {}, "not open to connections from 192.0.2.7"),
            ({"valid_from": NOW + timedelta(hours=1)}, {}, "opens 2026-03-06 13:00 UTC"),
            ({"valid_until": NOW}, {}, "closed 2026-03-06 12:00 UTC"),
            ({"max_sessions": 1}, {"open_sessions": lambda: 1}, "1 of 1 sessions are open"),
            ({"max_channels": 2}, {"open_channels": lambda _: 2}, "2 of 2 connections are open"),
        ]:
            paths = [grant(tunnel("db-prod"), policies=(policy(**conditions),))]
            self.assertEqual(self.reason(*paths, **changes), f"db-prod: {text}")
            paths.append(grant(tunnel("db-prod"), group_name="dba"))
            self.assertEqual(self.reason(*paths, **changes), "", "another path is enough")

    def test_every_policy_of_a_path_must_hold(self):
        open_one, shut = policy(), policy(valid_until=NOW)
        self.assertIn("closed", self.reason(grant(tunnel("db-prod"), policies=(open_one, shut))))

    def test_blocked(self):
        decision = decide(view(grant(tunnel("db-prod")), blocked=True), ask())
        self.assertFalse(decision.allowed)


class WindowTests(SynchronousTestCase):
    def test_text_round_trips(self):
        for text in ["Mon-Fri 09:00-18:00 Europe/Paris", "Sat,Sun 00:00-24:00 UTC"]:
            self.assertEqual(str(parse_window(text)), text)

    def test_over_midnight(self):
        night = parse_window("Thu 22:00-06:00 UTC")
        self.assertIsNone(night.open_until(NOW))
        self.assertIsNotNone(night.open_until(NOW.replace(hour=5)))

    def test_bad(self):
        for text in ["", "Mon", "Mon 9-18 UTC", "Foo 09:00-18:00 UTC", "Mon 09:00-18:00 Mars/X",
                     "Mon 09:00-25:00 UTC"]:  # fmt: skip
            self.assertRaises(BadWindow, parse_window, text)
