import base64
import os
import re

from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import tunnel
from tunnelcloud.domain import tokens
from tunnelcloud.domain.entities import Method, new_id, place_of, read_id, write_id
from tunnelcloud.domain.ssh_command import PublicAddress, ssh_arguments, ssh_command


class CommandTests(SynchronousTestCase):
    pod = PublicAddress("pod.example.com", 2222)

    def test_as_the_contract_has_it(self):
        self.assertEqual(
            ssh_command(tunnel(), "alice", Method.KEY, self.pod),
            "ssh -N -o ExitOnForwardFailure=yes -o ServerAliveInterval=30 "
            "-o ControlPath=none -L 127.0.0.1:5432:10.0.0.5:5432 -p 2222 alice@pod.example.com",
        )

    def test_token_range_offset_ipv6_and_external_address(self):
        wide = tunnel(
            "wide", "2001:db8::5", ((8000, 8100),), local_port_offset=1000,
            external_address="wide.example.com",
        )  # fmt: skip
        command = ssh_command(wide, "alice", Method.TOKEN, self.pod)
        self.assertIn("-o PubkeyAuthentication=no -o BatchMode=no", command)
        self.assertEqual(command.count("-L"), 16)
        self.assertIn("-L '127.0.0.1:9000:[2001:db8::5]:8000'", command)
        self.assertTrue(command.endswith("-p 2222 alice@wide.example.com"))

    def test_ambiguous_target_is_named(self):
        command = ssh_arguments(tunnel("a"), "alice", Method.KEY, self.pod, target="a")
        self.assertIn(":a:5432", " ".join(command))


class TokenTests(SynchronousTestCase):
    def test_form(self):
        token = tokens.new_token(os.urandom)
        self.assertTrue(re.fullmatch(r"[a-z2-7]{26}", token))
        self.assertEqual(tokens.as_typed(f"  {token.upper()} \n"), token)
        for typed in ["", "X" * 2**20, token[:-1].upper() + "1", token.upper() + "A"]:
            self.assertEqual(tokens.as_typed(typed), typed)

    def test_ids_sort_by_time(self):
        ids = [new_id("user", moment, os.urandom) for moment in (1, 2, 1_700_000_000_000)]
        self.assertEqual(ids, sorted(ids))
        self.assertTrue(ids[0].startswith("usr_"))

    def test_the_bytes_of_an_id(self):
        for raw in (bytes(16), b"\xff" * 16, os.urandom(16)):
            text = write_id("usr", raw)
            self.assertEqual(text, "usr_" + base64.b32hexencode(raw).decode().rstrip("=").lower())
            self.assertEqual(read_id(text), raw)
            self.assertEqual(place_of(text), (int.from_bytes(raw[:6]), int.from_bytes(raw[6:])))

    def test_nothing_else_is_taken_for_an_id(self):
        """Two texts never have the same bytes."""
        whole = write_id("usr", b"\x01" * 16)
        others = [whole.upper(), whole[:-1] + "1", whole[:-1], whole + "0", whole + "\n"]
        others += ["", "usr_", "pod_1", whole.replace("usr_", "usr "), whole[:4] + "_" + whole[5:]]
        others += [whole[:-1] + "w", whole[:-1] + "\u0660", whole[4:], "us_" + whole[4:]]
        self.assertEqual([read_id(one) for one in others], [None] * len(others))
