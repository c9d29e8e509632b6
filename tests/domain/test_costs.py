"""A decision touches what it concerns, however much else a user may open."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, grant, policy, tunnel, view
from tunnelcloud.domain.entities import Grant, Method
from tunnelcloud.domain.policy import Ask, could_open_any, decide, decide_tunnel, limits_of_session
from tunnelcloud.domain.ssh_command import own_host


class Counted(Grant):
    """Counts how often a grant's tunnel or its policies are looked at."""

    looks = 0

    def __getattribute__(self, name):
        if name in ("tunnel", "policies"):
            Counted.looks += 1
        return super().__getattribute__(name)


def many(count):
    return view(
        *(
            Counted(
                tunnel(f"t{number}", f"10.{number // 250}.0.{number % 250}"),
                "asg_1",
                frozenset(Method),
            )
            for number in range(count)
        )
    )


class DecisionCostTests(SynchronousTestCase):
    def looks_for(self, count):
        one = many(count)
        asked = Ask("t5", 5432, Method.KEY, "192.0.2.7", NOW)
        fifth = one.grants[5].tunnel
        # Made once a view.
        self.assertTrue(one.by_host and one.by_tunnel and one.by_method and one.limits)
        Counted.looks = 0
        self.assertTrue(decide(one, asked).allowed)
        self.assertTrue(decide_tunnel(one, evolve(asked, host="10.0.0.5"), fifth).allowed)
        self.assertTrue(decide(one, evolve(asked, host="localhost", only="tun_t5")).allowed)
        self.assertFalse(decide(one, evolve(asked, host="nothing")).allowed)
        self.assertTrue(could_open_any(one, Method.KEY, None))
        self.assertTrue(could_open_any(one, Method.KEY, "tun_t5"))
        for only in (None, "tun_t5"):
            self.assertEqual(limits_of_session(one, Method.KEY, only), (None, None))
        self.assertEqual(own_host(one, fifth), "10.0.0.5")
        return Counted.looks

    def test_ten_grants_and_ten_thousand_cost_the_same(self):
        self.assertEqual(self.looks_for(10), self.looks_for(10_000))

    def test_nothing_is_counted_that_no_policy_asks_for(self):
        asked = Ask(
            "db",
            5432,
            Method.KEY,
            "192.0.2.7",
            NOW,
            open_sessions=lambda: self.fail("sessions"),
            open_channels=lambda _: self.fail("channels"),
        )
        only = policy(source_networks=("192.0.2.0/24",), idle_seconds=5)
        self.assertTrue(decide(view(grant(tunnel("db"), policies=(only,))), asked).allowed)

    def test_networks_are_parsed_once(self):
        one = policy(source_networks=("192.0.2.0/24",))
        self.assertIs(one.networks, one.networks)
