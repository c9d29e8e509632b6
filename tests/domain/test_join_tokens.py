import string

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.join_tokens import (
    JoinProblem,
    JoinRefused,
    JoinToken,
    parse_join_token,
    read_pod_address,
)
from tunnelcloud.domain.ssh_command import PublicAddress

hosts = st.text(string.ascii_lowercase + "-.", min_size=1, max_size=60) | st.ip_addresses().map(str)
tokens = st.builds(
    JoinToken,
    st.builds(PublicAddress, hosts, st.integers(1, 65535)),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=20, max_size=20),
)
EXAMPLE = JoinToken(PublicAddress("pod.example.com", 8443), bytes(32), bytes(range(20)))


class JoinTokenTests(SynchronousTestCase):
    @given(tokens)
    def test_says_what_it_was_made_of(self, token):
        text = token.encode()
        self.assertEqual(parse_join_token(f" {text}\n"), token)
        self.assertTrue(text.isascii() and text.isprintable() and " " not in text)

    @given(tokens, st.data())
    def test_any_cut_or_changed_character_is_noticed(self, token, data):
        text = token.encode()
        position = data.draw(st.integers(0, len(text) - 2))
        self.assert_malformed(text[:position])
        other = data.draw(st.characters().filter(lambda c: c != text[position] and c.strip()))
        self.assert_malformed(text[:position] + other + text[position + 1 :])

    @given(st.text())
    def test_nonsense_is_malformed(self, text):
        self.assert_malformed(text)
        self.assert_malformed("tcj1." + text)

    def test_a_token_of_a_megabyte_is_malformed(self):
        self.assert_malformed("tcj1." + "A" * (1 << 20))

    def test_the_secret_is_shown_and_stored_nowhere(self):
        self.assertNotIn(EXAMPLE.secret.hex(), repr(EXAMPLE))
        self.assertNotIn(repr(EXAMPLE.secret), repr(EXAMPLE))
        self.assertNotIn(EXAMPLE.secret.hex(), EXAMPLE.secret_hash)
        self.assertEqual(len(EXAMPLE.secret_hash), 64)

    def test_each_problem_has_one_line_of_its_own(self):
        lines = {str(JoinRefused(problem)) for problem in JoinProblem}
        self.assertEqual(len(lines), len(JoinProblem))
        for line in lines:
            self.assertNotIn("\n", line)

    def assert_malformed(self, text):
        with self.assertRaises(JoinRefused) as caught:
            parse_join_token(text)
        self.assertEqual(caught.exception.problem, JoinProblem.MALFORMED)


class AddressTests(SynchronousTestCase):
    def test_both_forms(self):
        for address, parts in (
            ("pod.example:8443", ("pod.example", 8443)),
            ("[fd00::1]:8443", ("fd00::1", 8443)),
        ):
            self.assertEqual(read_pod_address(address), PublicAddress(*parts))
            self.assertEqual(str(PublicAddress(*parts)), address)

    def test_what_is_no_address(self):
        for text in ("", "pod", "pod:", ":22", "pod:0", "pod:65536", "pod:x", "fd00::1", "pod:²"):
            with self.assertRaises(ValueError):
                read_pod_address(text)
