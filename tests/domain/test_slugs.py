from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.names import read_user_name
from tunnelcloud.domain.slugs import name_of, numbered, slug


class SlugTests(SynchronousTestCase):
    def test_what_becomes_of_a_text(self):
        for text, made in [
            ("alice@corp.example", "alice"),
            ("@alice", "alice"),
            ("CORP\\Alice", "alice"),
            ("Łukasz Straße", "lukasz-strasse"),
            ("\u202e", ""),
            ("山田", ""),
            ("-._", ""),
            ("a" * 70, "a" * 64),
            ("a" * 63 + ".b", "a" * 63),
        ]:
            self.assertEqual(slug(text), made)
            if made:
                self.assertEqual(read_user_name(made), made)

    def test_the_best_of_several(self):
        self.assertEqual(name_of(["Alice", "bob"]), ("alice", False))
        self.assertEqual(name_of(["山田", "yamada"]), ("yamada", True))
        self.assertEqual(name_of(["a b"]), ("a-b", True))
        self.assertEqual(name_of([]), ("", True))

    def test_a_name_that_no_user_may_have_gets_another_ending(self):
        """Whoever may choose what their provider calls them is never the system, or an id."""
        someones_id = "usr_" + "0" * 26
        for text in (
            *("system", "System", "system@corp.example", "sy\u0301stem", "-system"),
            *("tcptunnel", "Tcptunnel@corp.example", someones_id, someones_id.upper()),
        ):
            made, is_made = name_of([text])
            self.assertTrue(is_made, text)
            self.assertEqual(read_user_name(made), made)

    def test_another_ending(self):
        self.assertEqual(numbered("a" * 64, 12), "a" * 61 + "-12")
