"""A settings file is changed where it was asked for, and nowhere else."""

import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.settings.editing import CannotEdit, edited

EXAMPLE = Path(__file__).parents[1] / "etc" / "pod.toml"

TEXT = """\
# whose pod
name = "pod-1"   # unique
[web]
# public_url = "https://portal.example.com/#top"  # for people
trusted_proxies = ["a # b"]# believed

[web.acme]
# directory = "…"
[ssh]
"""


class EditingTests(SynchronousTestCase):
    def test_comments_and_all_else_stay(self):
        changes = {
            "name": "pod-2",
            "web.public_url": "https://pod.example.com",
            "web.trusted_proxies": ["10.0.0.0/8", "::1/128"],
            "web.acme.directory": "https://acme.example.com/d",
            "ssh.listen": [],
            "front.listen": ["tcp:443"],
            "web.acme.contact": "a@b.example",
        }
        self.assertEqual(
            edited(TEXT, changes),
            """\
# whose pod
name = "pod-2"   # unique
[web]
public_url = "https://pod.example.com"  # for people
trusted_proxies = ["10.0.0.0/8", "::1/128"]# believed

[web.acme]
contact = "a@b.example"
directory = "https://acme.example.com/d"
[ssh]
listen = []

[front]
listen = ["tcp:443"]
""".replace("]# believed", "]"),
        )

    def test_what_is_to_be_gone_is_commented_out(self):
        text = edited('[web]\ncertificate = "/a"  # ours\n', {"web.certificate": None})
        self.assertEqual(text, '[web]\n# certificate = "/a"  # ours\n')
        self.assertEqual(edited(text, {"web.certificate": None}), text)
        self.assertEqual(edited("", {"web.certificate": None}), "")

    def test_any_text_is_a_value(self):
        for value in ('"', "\\", "# no comment", "é\U0001f600", "\x01", "[x]"):
            text = edited('name = "a"\n', {"name": value})
            self.assertEqual(tomllib.loads(text), {"name": value})

    def test_what_stands_elsewhere_is_refused(self):
        for text in (
            '[web]\nlisten = [\n  "tcp:1",\n]\n',
            'web.listen = ["tcp:1"]\n',
            'web = { listen = ["tcp:1"] }\n',
            'note = """\n[web]\n"""\n',
        ):
            with self.assertRaises(CannotEdit, msg=text):
                edited(text, {"web.listen": ["tcp:2"]})

    def test_the_example_takes_all(self):
        before = tomllib.loads(EXAMPLE.read_text())
        for key in ("ssh.public_address", "web.acme.directory", "front.listen", "name"):
            table, _, name = key.rpartition(".")
            after = tomllib.loads(edited(EXAMPLE.read_text(), {key: "x"}))
            at = after
            for part in filter(None, table.split(".")):
                at = at[part]
            self.assertEqual(at.pop(name), "x")
            was = before
            for part in filter(None, table.split(".")):
                was = was[part]
            self.assertEqual(at, {one: was[one] for one in was if one != name})
