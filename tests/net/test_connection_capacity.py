"""A room for so many connections, in which nobody keeps everybody else out."""

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.connection_capacity import Crowd


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

    def test_many_networks_of_one_site_keep_nobody_out(self):
        """Whoever rents a machine has 65,536 networks of IPv6, each of which is a source."""
        flood = [f"2001:db8:0:{number:x}::1" for number in range(6)]
        crowd = self.filled(["192.0.2.1", "198.51.100.1", *flood])
        for number in range(6, 12):
            self.assertTrue(self.enter(crowd, f"more {number}", f"2001:db8:0:{number:x}::1"))
        self.assertNotIn(0, self.dropped)
        self.assertNotIn(1, self.dropped)
        self.assertTrue(self.enter(crowd, "new", "203.0.113.1"))
        self.assertEqual(len(self.dropped), 7)

    def test_counts_are_those_of_who_is_present(self):
        dropped = []
        crowd = Crowd(20, dropped.append)
        for number in range(300):
            source = f"10.{number % 3}.{number % 7}.{number % 2}"
            if number % 5 == 0:
                crowd.leave(number // 2)
            if crowd.admits(source):
                crowd.enter(number, source)
            origins = Counter(crowd._present.values())
            self.assertEqual(
                {
                    (one, site): n
                    for site, found in crowd._sites.items()
                    for one, n in found.items()
                },
                origins,
            )
            self.assertEqual(crowd._sizes, Counter(site for _, site in crowd._present.values()))
        for number in range(300):
            crowd.leave(number)
        self.assertEqual((crowd._present, crowd._sites, crowd._sizes), ({}, {}, {}))

    def test_neighbours_answer_for_none_of_it(self):
        """A network of IPv4 may be a provider's: of that, too, whoever has the most makes room."""
        crowd = self.filled(["192.0.2.1", "192.0.2.7", "192.0.2.7", "198.51.100.1"])
        self.assertTrue(self.enter(crowd, "new", "203.0.113.1"))
        self.assertEqual(self.dropped, [1])
        self.assertTrue(self.enter(crowd, "neighbour", "192.0.2.9"))
        self.assertEqual(len(self.dropped), 2)
