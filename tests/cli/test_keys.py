import stat
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from tests.cli.support import CommandTestCase

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl x"


class KeyTestCase(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.alice = self.api.put("users", name="alice", email=None)
        self.bob = self.api.put("users", name="bob", email=None)
        self.path = f"users/{self.alice['id']}/keys"

    def put_key(self, user, title):
        return self.api.put(
            f"users/{user['id']}/keys",
            user_id=user["id"],
            title=title,
            fingerprint=f"SHA256:{title}",
        )


class AddTests(KeyTestCase):
    def test_add(self):
        path = Path(self.mktemp())
        path.write_text(PUBLIC + "\n")
        self.succeed_json(
            *("key", "add", "alice", "--public-key", str(path)),
            *("--title", "laptop", "--expires", "2027-01-01"),
        )
        body = self.api.requests[-1][3]
        self.assertTrue(body.pop("expires_at").startswith("2027-01-01T00:00:00"))
        self.assertEqual(body, {"public_key": PUBLIC, "title": "laptop"})

    def test_a_private_key_is_not_sent(self):
        path = Path(self.mktemp())
        path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n")
        line = self.fail_line("key", "add", "alice", "--public-key", str(path))
        self.assertIn("this is a private key", line)
        self.assertEqual(self.api.requests, [])

    def test_missing_file(self):
        line = self.fail_line("key", "add", "alice", "--public-key", self.mktemp(), status=2)
        self.assertIn("No such file", line)


class GenerateTests(KeyTestCase):
    def setUp(self):
        super().setUp()
        self.out = Path(self.mktemp())
        self.pub = Path(f"{self.out}.pub")

    def test_generate(self):
        self.succeed_json("key", "generate", "alice", "--out", str(self.out))
        public = load_ssh_private_key(self.out.read_bytes(), None).public_key()
        text = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        self.assertEqual(self.pub.read_text(), text + "\n")
        self.assertEqual(self.api.objects(self.path)[0]["public_key"], text)
        self.assertEqual(stat.S_IMODE(self.out.stat().st_mode), 0o600)

    def test_nothing_is_overwritten(self):
        for there, other in ((self.out, self.pub), (self.pub, self.out)):
            there.write_text("mine")
            line = self.fail_line("key", "generate", "alice", "--out", str(self.out))
            self.assertIn(f"{there} is there already", line)
            self.assertEqual(there.read_text(), "mine")
            self.assertFalse(other.exists())
            there.unlink()
        self.assertEqual(self.api.requests, [])

    def test_a_key_that_was_not_registered_is_not_left_behind(self):
        self.fail_line("key", "generate", "carol", "--out", str(self.out))
        self.assertFalse(self.out.exists() or self.pub.exists())

    def test_directory_that_is_not_there(self):
        line = self.fail_line("key", "generate", "alice", "--out", str(self.out / "key"))
        self.assertIn("No such file or directory", line)


class ListAndRevokeTests(KeyTestCase):
    def test_list(self):
        mine, other = self.put_key(self.alice, "laptop"), self.put_key(self.bob, "backup")
        self.assertEqual(self.succeed_json("key", "list", "alice")["items"], [mine])
        self.assertEqual(self.succeed_json("key", "list")["items"], [mine, other])
        self.assertRegex(self.succeed("key", "list"), "bob +backup +SHA256:backup")

    def test_revoke(self):
        for said in ("id", "fingerprint", "title"):
            for user in ((), ("alice",)):
                found = self.put_key(self.alice, "laptop")
                self.succeed("key", "revoke", *user, found[said])
                self.assertEqual(self.api.objects(self.path), [])

    def test_unclear(self):
        self.put_key(self.alice, "laptop")
        self.put_key(self.bob, "laptop")
        self.assertIn("2 keys are called 'laptop'", self.fail_line("key", "revoke", "laptop"))
        self.assertIn("there is no key 'phone'", self.fail_line("key", "revoke", "phone"))
        self.fail_line("key", "revoke", status=2)
        self.succeed("key", "revoke", "bob", "laptop")
