"""A room for so many connections, in which nobody keeps everybody else out."""

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.crowds import Crowd


class CrowdTests(SynchronousTestCase):
    def enter(self, crowd, one, source):
        """Let one in if it is admitted; tell whether it was."""
        admitted = crowd.admits(source)
        if admitted:
            crowd.enter(one, source)
        return admitted

    def filled(self, sources, **settings):
        self.dropped = []
        crowd = Crowd(len(sources), self.dropped.append, **settings)
        for number, source in enumerate(sources):
            self.assertTrue(self.enter(crowd, number, source))
        return crowd

    def test_the_source_with_the_most_makes_room(self):
        crowd = self.filled(["a", "b", "b"])
        self.assertFalse(self.enter(crowd, "more", "b"))
        self.assertTrue(self.enter(crowd, "new", "c"))
        self.assertEqual((self.dropped, len(crowd)), ([1], 3))

    def test_a_fair_one_takes_from_nobody_what_the_other_would_have(self):
        for sources, source, dropped in (
            ("aab", "c", [0]),
            ("aab", "b", []),
            ("abc", "d", []),
            ("aaab", "b", [0]),
        ):
            with self.subTest(sources=sources, source=source):
                crowd = self.filled(sources, is_fair=True)
                self.assertEqual(crowd.has_place(source), bool(dropped))
                self.assertEqual(self.dropped, [], "asking changes nothing")
                self.assertEqual(self.enter(crowd, "new", source), bool(dropped))
                self.assertEqual(self.dropped, dropped)
