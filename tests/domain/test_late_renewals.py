"""Which certificates that have ended are renewed."""

from datetime import UTC, datetime, timedelta
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.join_tokens import JoinProblem, JoinRefused
from tunnelcloud.domain.late_renewals import Issued, LateRenewal, end_of_shown

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def issued(serial, ago, days=30, connector_id="con_1", revoked=False):
    begin = NOW - ago
    return Issued(serial, connector_id, begin, begin + days * DAY, revoked)


class LateRenewalTests(SynchronousTestCase):
    def end(self, *known, serial="01", grace=10):
        return end_of_shown(LateRenewal("con_1", serial, "key", grace * DAY), known, NOW)

    def refusal(self, *known, **shown):
        return self.assertRaises(JoinRefused, self.end, *known, **shown)

    def problem(self, *known, **shown):
        return self.refusal(*known, **shown).problem

    def test_the_last_one_is_renewed_within_the_grace(self):
        last = issued("01", 35 * DAY)
        self.assertEqual(self.end(last), NOW - 5 * DAY)
        self.assertEqual(self.end(issued("00", 60 * DAY), last), NOW - 5 * DAY)
        self.assertIs(self.problem(last, grace=5), JoinProblem.ENDED)
        self.assertIs(self.problem(last, grace=0), JoinProblem.ENDED)
        self.assertIs(self.problem(issued("01", 29 * DAY)), JoinProblem.UNAVAILABLE)

    def test_what_is_unknown_revoked_or_another_s_is_not(self):
        last = issued("01", 35 * DAY)
        for known in (
            (),
            (issued("02", 35 * DAY),),
            (issued("01", 35 * DAY, revoked=True),),
            (issued("01", 35 * DAY, connector_id="con_2"),),
            (last, issued("02", 2 * MINUTE, connector_id="con_2")),
            (last, issued("02", 2 * MINUTE, revoked=True)),
        ):
            self.assertIs(self.problem(*known), JoinProblem.REVOKED)

    def test_one_that_was_renewed_in_time_is_a_copy(self):
        """Within the hour after any later renewal, too."""
        old, next_one = issued("01", 35 * DAY), issued("02", 15 * DAY)
        for known in ((old, next_one), (old, next_one, issued("03", 2 * MINUTE))):
            refusal = self.refusal(*known)
            self.assertIs(refusal.problem, JoinProblem.REVOKED)
            self.assertIn("a copy", str(refusal))
            self.assertIn("join token", str(refusal))

    def test_once_the_next_one_is_in_use_this_one_is_a_copy(self):
        """Whoever uses the next one has got the answer: nobody needs to ask for it again."""
        known = issued("01", 35 * DAY), issued("02", 10 * MINUTE)
        for ago, refused in ((6 * DAY, False), (11 * MINUTE, False), (9 * MINUTE, True)):
            asked = LateRenewal("con_1", "01", "key", 10 * DAY)
            end = partial(end_of_shown, asked, known, NOW, NOW - ago)
            if refused:
                self.assertIn("is in use", str(self.assertRaises(JoinRefused, end)))
            else:
                self.assertEqual(end(), NOW - 5 * DAY)

    def test_a_lost_answer_is_asked_for_again_for_an_hour_from_the_first(self):
        old = issued("01", 35 * DAY)
        for known in (
            (old, issued("02", MINUTE)),
            (old, issued("02", 60 * MINUTE)),
            (old, issued("02", 60 * MINUTE), issued("03", MINUTE)),
        ):
            self.assertEqual(self.end(*known), old.expires_at)
        second = timedelta(seconds=1)
        for known, problem in (
            ((old, issued("02", MINUTE - second)), JoinProblem.UNAVAILABLE),
            ((old, issued("02", 5 * MINUTE), issued("03", second)), JoinProblem.UNAVAILABLE),
            ((old, issued("02", 60 * MINUTE + second)), JoinProblem.REVOKED),
            (
                (old, issued("02", 60 * MINUTE + second), issued("03", 2 * MINUTE)),
                JoinProblem.REVOKED,
            ),
        ):
            self.assertIs(self.problem(*known), problem)
