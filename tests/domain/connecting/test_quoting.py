"""What is quoted comes out of its reader as it went in."""

import subprocess

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.connecting.oracles import Special, cmd_words, powershell_words, systemd_words
from tunnelcloud.domain.connecting.quoting import (
    UnquotableWord,
    cmd,
    posix,
    powershell,
    ssh_config,
    systemd,
)

NASTY = "aA0 -_./:=@+~'`$(){}[]#&|;<>,%!^*?\\\u2019\u201cé"
WORDS = st.lists(st.text(NASTY + '"', min_size=1, max_size=12), min_size=1, max_size=4)
UNQUOTED_WORDS = st.lists(st.text(NASTY, min_size=1, max_size=12), min_size=1, max_size=4)
PLAIN = ["ssh", "-o", "A=yes", "-L", "127.0.0.1:1:[::1]:2", "-p", "2222", "o'x@y.org@pod"]


class QuotingTests(SynchronousTestCase):
    @settings(max_examples=500, deadline=None)
    @given(UNQUOTED_WORDS)
    def test_powershell(self, words):
        self.assertEqual(powershell_words(powershell(words)), words)

    @settings(max_examples=500, deadline=None)
    @given(WORDS)
    def test_cmd(self, words):
        # A variable whose name ends in a caret would have to exist for the trick to fail.
        self.assertEqual(cmd_words(cmd(words), {"a", "A", "a-"}), words)

    @settings(max_examples=300, deadline=None)
    @given(WORDS)
    def test_systemd(self, words):
        self.assertEqual(systemd_words(systemd(words)), words)

    @settings(max_examples=30, deadline=None)
    @given(WORDS)
    def test_sh(self, words):
        printed = subprocess.run(
            ["/bin/sh", "-c", f"printf '%s\\0' {posix(words)}"], stdout=subprocess.PIPE, check=True
        ).stdout
        self.assertEqual(printed.decode().split("\0")[:-1], words)

    @settings(max_examples=30, deadline=None)
    @given(st.text(NASTY.replace("\\", ""), min_size=1, max_size=12))
    def test_ssh_config_by_ssh_itself(self, value):
        assume(value.strip() == value and "$" not in value)
        shown = subprocess.run(
            ["ssh", "-G", "-F", "/dev/stdin", "x"],
            input=f"Host x\n    ControlPath {ssh_config('/' + value)}\n".encode(),
            capture_output=True,
            check=True,
        ).stdout.decode()
        (line,) = [one for one in shown.splitlines() if one.startswith("controlpath")]
        self.assertEqual(line.partition(" ")[2], "/" + value)

    def test_what_has_no_way_is_refused(self):
        self.assertRaises(ValueError, powershell, ['a"b'])
        self.assertRaises(ValueError, ssh_config, 'a"b')

    def test_nothing_takes_a_control_character(self):
        quoting = [posix, powershell, cmd, systemd, lambda words: ssh_config(words[0])]
        for number in (*range(32), 127):
            for quote in quoting:
                self.assertRaises(UnquotableWord, quote, [f"a{chr(number)}b"])

    def test_what_has_no_tokens_keeps_its_percent_signs(self):
        self.assertEqual(ssh_config("a b%c", tokens=False), '"a b%c"')
        self.assertEqual(ssh_config("[fd00::5]:5432", tokens=False), "[fd00::5]:5432")

    def test_plain_words_stay_plain(self):
        self.assertEqual(
            powershell(PLAIN), "ssh -o A=yes -L '127.0.0.1:1:[::1]:2' -p 2222 'o''x@y.org@pod'"
        )
        self.assertEqual(cmd(PLAIN), "ssh -o A=yes -L 127.0.0.1:1:[::1]:2 -p 2222 o'x@y.org@pod")

    def test_the_oracles_see_what_is_not_quoted(self):
        for line in ["a $b", "a;b", "a 'b", "@a", "-a.b", "1e3", 'a "b"', "a,b"]:
            self.assertRaises(Special, powershell_words, line)
        for line in ["a & b", "a|b", "a ^", "%a%"]:
            self.assertRaises(Special, cmd_words, line, {"a"})
        for line in ["a %h", "a $b", 'a"b"']:
            self.assertRaises(Special, systemd_words, line)
