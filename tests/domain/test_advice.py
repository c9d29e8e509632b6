"""Each reason that somebody can be refused for has its advice."""

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, grant, policy, tunnel, view
from tunnelcloud.domain.advice import advice_for
from tunnelcloud.domain.dial_failures import DialFailure, failure_text
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.policy import Ask, decide
from tunnelcloud.domain.schedule import parse_window

ASK = Ask(host="db", port=5432, method=Method.KEY, source_ip="192.0.2.1", at=NOW)


class AdviceTests(SynchronousTestCase):
    def advised(self, reason):
        self.assertNotEqual(advice_for(reason), "", reason)
        return advice_for(reason)

    def test_policies(self):
        for conditions in [
            {"source_networks": ("10.0.0.0/8",)},
            {"valid_from": NOW + timedelta(1)},
            {"valid_until": NOW - timedelta(1)},
            {"windows": (parse_window("Sun 01:00-02:00 UTC"),)},
            {"max_sessions": 0},
            {"max_channels": 0},
        ]:
            one = grant(tunnel(), policies=(policy(**conditions),))
            self.advised(decide(view(one), ASK).reason)

    def test_destinations_and_methods(self):
        db = tunnel()
        for grants, blocked in [
            ([], False),
            ([grant(tunnel(ports=((1, 1),)))], False),
            ([grant(db, [Method.TOKEN])], False),
            ([grant(tunnel(enabled=False))], False),
            ([grant(db)], True),
            ([grant(tunnel("a", "db")), grant(tunnel("b", "db"))], False),
        ]:
            self.advised(decide(view(*grants, blocked=blocked), ASK).reason)
        used_token = decide(
            view(grant(db, [Method.KEY])), Ask("db", 5432, Method.TOKEN, "::1", NOW)
        )
        self.assertIn("Choose a key", self.advised(used_token.reason))

    def test_dialling(self):
        silent = {
            DialFailure.LIMIT,
            DialFailure.DRAINING,
            DialFailure.LINK_LOST,
            DialFailure.FAILED,
        }
        for failure in set(DialFailure) - silent:
            self.advised(failure_text(failure, "10.0.0.5", 5432, "paris"))

    def test_every_failure_has_words(self):
        for failure in DialFailure:
            self.assertNotEqual(failure.text, "", failure)

    def test_logins(self):
        for reason in [
            "this one-time token was used at 2026-03-06 12:00:00 UTC",
            "this one-time token expired at 2026-03-06 12:00:00 UTC",
            "this one-time token was revoked",
            "no such token for this login",
            "the token is good, but no tunnel is assigned to alice",
            "the key opens nothing for this login",
            "the key expired at 2026-03-06 12:00:00 UTC",
            "bad signature",
        ]:
            self.advised(reason)

    def test_the_reason_of_a_good_token_comes_before_that_it_is_good(self):
        for reason, advice in (
            ("db: disabled; an administrator can enable it", "can switch it on"),
            ("user alice is blocked; an administrator can unblock the account", "unblock"),
            ("no tunnel that opens with a one-time token is assigned to alice", "assign"),
            ("it is for db only, and the login name has another tunnel", "command"),
            ("no tunnel that is assigned to alice has the name after tcptunnel@", "name"),
            ("db names more than one tunnel: a, b", "whole"),
        ):
            for good in ("the token is good, but ", "the key opens nothing for this login: "):
                self.assertIn(advice, self.advised(good + reason), reason)

    def test_nothing_is_made_up(self):
        self.assertEqual(advice_for("the moon is full"), "")
