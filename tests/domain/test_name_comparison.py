"""Names are the same by one function, and strangers never become each other."""

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from tunnelcloud.domain.name_comparison import folded, is_unmistakable
from tunnelcloud.domain.names import BadName, parse_login, read_email, read_user_name
from tunnelcloud.domain.tokens import as_typed

KELVIN, LONG_S, DOTTED_I = "\u212a", "\u017f", "\u0130"

# Texts of protocols and of people, whose case isn't what makes names the same.
OTHER_TEXTS = {
    "cli/client.py",
    "cli/own_tunnels.py",
    "connector/allowed_targets.py",
    "domain/entities.py",
    "domain/proxy_choice.py",
    "domain/proxy_dialogue.py",
    "domain/tokens.py",
    "domain/totp.py",
    "web/api.py",
    "web/openapi.py",
    "web/portal/pages/applications.py",
    "web/portal/resource.py",
    "web/problems.py",
    "web/request_faults.py",
}


class SamenessTests(SynchronousTestCase):
    def test_only_ascii_loses_its_case(self):
        self.assertEqual(folded("MiKe.A-Z@Example.COM"), "mike.a-z@example.com")
        for stranger in (KELVIN, LONG_S, DOTTED_I, "\u00c4"):
            self.assertEqual(folded(stranger), stranger)
        self.assertNotEqual(folded(f"mi{KELVIN}e"), "mike")

    @given(st.text(max_size=40))
    def test_folding_twice_is_folding_once(self, text):
        self.assertEqual(folded(folded(text)), folded(text))
        self.assertEqual(len(folded(text)), len(text))

    @given(st.text(max_size=20), st.text(max_size=20))
    def test_the_same_differ_in_ascii_case_alone(self, one, other):
        if folded(one) == folded(other):
            for a, b in zip(one, other, strict=True):
                self.assertTrue(a == b or (a.isascii() and a.lower() == b.lower()))

    def test_a_kelvin_sign_is_nobodys_letter(self):
        self.assertRaises(BadName, read_user_name, f"mi{KELVIN}e")
        self.assertRaises(BadName, read_email, f"mi{KELVIN}e@example.com")
        self.assertRaises(BadName, read_email, f"mike@example.{KELVIN}om")
        self.assertEqual(parse_login(f"mi{KELVIN}e".encode()).user, f"mi{KELVIN}e")
        self.assertEqual(as_typed(KELVIN * 26), KELVIN * 26)

    def test_addresses_that_deceive(self):
        for local in ("a\u202eb", "a\u200bb", "\ufb01ona", "a\u00adb", "\uff41lice"):
            self.assertRaises(BadName, read_email, f"{local}@example.com")
        self.assertEqual(read_email("J\u00f6rg@Example.com"), "j\u00f6rg@example.com")

    @given(st.text(max_size=30))
    def test_an_address_that_is_taken_is_taken_again(self, local):
        try:
            email = read_email(f"{local}@example.com")
        except BadName:
            return
        self.assertEqual(read_email(email), email)
        self.assertTrue(is_unmistakable(email))

    def test_nobody_folds_names_another_way(self):
        root = Path(tunnelcloud.__file__).parent
        found = {
            str(path.relative_to(root))
            for path in root.rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute)
            and node.attr in ("lower", "casefold")
            and path.name != "name_comparison.py"
        }
        self.assertEqual(
            found - OTHER_TEXTS, set(), "use tunnelcloud.domain.name_comparison.folded"
        )
