from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, policy
from tunnelcloud.domain.policy_sentences import policy_sentence, standing_sentence
from tunnelcloud.domain.schedule import parse_window
from tunnelcloud.web.models.policies import Policy


def said(**conditions):
    return policy_sentence(Policy.model_validate(policy(**conditions)).model_dump(mode="json"))


def windows(*texts):
    return {"windows": tuple(map(parse_window, texts))}


class SentenceTests(SynchronousTestCase):
    def test_no_condition(self):
        self.assertEqual(said(), "always, from anywhere")

    def test_hours(self):
        for texts, wanted in [
            (["Mon-Fri 09:00-18:00 Europe/Paris"], "weekdays 09:00\u201318:00 Europe/Paris"),
            (["Mon-Sun 00:00-24:00 UTC"], "every day all day UTC"),
            (["Sat,Sun 08:00-24:00 UTC"], "weekends 08:00\u201324:00 UTC"),
            (["Fri 22:00-06:00 UTC"], "Fri 22:00\u201306:00 of the next day UTC"),
            (["Mon 09:00-09:00 UTC"], "Mon 09:00\u201309:00 of the next day UTC"),
            (["Mon 09:00-10:00 UTC", "Tue 10:00-11:00 UTC"],
             "Mon 09:00\u201310:00 UTC or Tue 10:00\u201311:00 UTC"),
        ]:  # fmt: skip
            self.assertEqual(said(**windows(*texts)), wanted)

    def test_how_it_stands(self):
        """It is Friday, 12:00 UTC."""
        hour = timedelta(hours=1)
        for conditions, wanted in [
            ({}, ""),
            (windows("Fri 09:00-18:00 Europe/Paris"),
             "It is open now, until Fri 18:00 Europe/Paris."),
            (windows("Thu 22:00-12:30 UTC"), "It is open now, until Fri 12:30 UTC."),
            (windows("Fri 09:00-12:00 UTC", "Mon 08:00-09:00 UTC"),
             "It is closed now, and opens Mon 08:00 UTC."),
            ({"valid_from": NOW + hour}, "It begins on 2026-03-06 13:00 UTC."),
            ({"valid_until": NOW}, "It ended on 2026-03-06 12:00 UTC."),
        ]:  # fmt: skip
            self.assertEqual(standing_sentence(policy(**conditions), NOW), wanted)
