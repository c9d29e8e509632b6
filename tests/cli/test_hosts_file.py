"""Names in a hosts file: there while tunnels are open, and no longer."""

import errno
import fcntl
import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.cli import hosts_file
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.hosts_file import HostsFile
from tunnelcloud.cli.process_starts import start_of

BEFORE = b"127.0.0.1\tlocalhost\n# a comment \xff\n::1 localhost"
NOBODY = 4_194_305
"""A process that no Linux has."""


class HostsFileTests(SynchronousTestCase):
    def setUp(self):
        self.path = Path(self.mktemp())
        self.path.write_bytes(BEFORE)
        self.path.chmod(0o644)
        self.hosts = HostsFile(self.path)

    def test_names_come_and_go_and_the_rest_stays(self):
        self.hosts.write({"db": "127.64.0.1", "web": "127.64.0.2"})
        text = self.path.read_bytes()
        self.assertTrue(text.startswith(BEFORE + b"\n# BEGIN tunnelcloud connect "))
        self.assertIn(b"\n127.64.0.1 db.tunnel\n127.64.0.2 web.tunnel\n# END", text)
        self.hosts.write({"web": "127.64.0.2"})
        self.assertNotIn(b"db.tunnel", self.path.read_bytes())
        self.assertEqual(self.path.read_bytes().count(b"BEGIN"), 1)
        self.hosts.clear()
        self.assertEqual(self.path.read_bytes(), BEFORE + b"\n")

    def test_what_others_write_meanwhile_stays(self):
        self.hosts.write({"db": "127.64.0.1"})
        with self.path.open("ab") as file:
            file.write(b"10.0.0.1 other\n")
        self.hosts.clear()
        self.assertEqual(self.path.read_bytes(), BEFORE + b"\n10.0.0.1 other\n")

    def test_mode_and_owner_stay_and_the_file_is_replaced_whole(self):
        self.path.chmod(0o640)
        owners = []
        self.patch(hosts_file.os, "fchown", lambda descriptor, *owner: owners.append(owner))
        before = self.path.stat()
        self.hosts.write({"db": "127.64.0.1"})
        after = self.path.stat()
        self.assertEqual(stat.S_IMODE(after.st_mode), 0o640)
        self.assertEqual(owners, [(before.st_uid, before.st_gid)])
        self.assertNotEqual(after.st_ino, before.st_ino)
        self.assertEqual([one for one in self.path.parent.iterdir() if self.path.name in one.name],
                         [self.path])  # fmt: skip

    def test_a_link_stays_one(self):
        link = Path(self.mktemp())
        link.symlink_to(self.path.absolute())
        HostsFile(link).write({"db": "127.64.0.1"})
        self.assertTrue(link.is_symlink())
        self.assertIn(b"db.tunnel", self.path.read_bytes())

    def test_the_next_run_takes_out_what_a_killed_one_left(self):
        block = (
            b"# BEGIN tunnelcloud connect %d %d: x\n127.64.0.9 old.tunnel\n"
            b"# END tunnelcloud connect %d\n"
        )
        killed = block % (NOBODY, 1, NOBODY)
        # Another process has the number now.
        reused = block % (os.getppid(), 1, os.getppid())
        parent = os.getppid()
        alive = block % (parent, start_of(parent), parent)
        self.path.write_bytes(killed + b"10.0.0.1 other\n" + reused + alive)
        self.hosts.write({})
        self.hosts.clear()
        self.assertEqual(self.path.read_bytes(), b"10.0.0.1 other\n" + alive)

    def test_a_block_that_somebody_cut_in_two_is_left(self):
        cut = b"# BEGIN tunnelcloud connect %d 1: x\n10.0.0.1 mine\n" % NOBODY
        self.path.write_bytes(cut)
        self.hosts.write({"db": "127.64.0.1"})
        self.hosts.clear()
        self.assertEqual(self.path.read_bytes(), cut)

    def test_names_that_no_tunnel_has(self):
        self.hosts.write({"db": "127.64.0.1", "x\n10.0.0.1 bank.example": "127.64.0.2", "B": "1"})
        self.assertEqual(self.path.read_bytes().count(b".tunnel"), 1)
        self.assertNotIn(b"bank", self.path.read_bytes())

    def test_who_may_not_is_told(self):
        def deny(*_, **__):
            raise PermissionError(errno.EACCES, "Permission denied")

        self.patch(hosts_file, "write_atomically", deny)
        told = str(self.assertRaises(Failed, self.hosts.write, {"db": "127.64.0.1"}))
        self.assertIn(f"you may not change {self.path.resolve()}: run this as an adm", told)
        self.assertEqual(self.path.read_bytes(), BEFORE)

    def test_no_such_file(self):
        self.path.unlink()
        told = str(self.assertRaises(Failed, self.hosts.write, {"db": "127.64.0.1"}))
        self.assertIn("No such file", told)

    def test_a_file_that_a_container_has_mounted(self):
        def busy(*_, **__):
            raise OSError(errno.EBUSY, "Device or resource busy")

        self.patch(hosts_file, "write_atomically", busy)
        self.hosts.write({"db": "127.64.0.1"})
        self.assertIn(b"db.tunnel", self.path.read_bytes())
        self.hosts.clear()
        self.assertEqual(self.path.read_bytes(), BEFORE + b"\n")

    def test_nothing_is_written_while_nothing_changes(self):
        self.hosts.write({"db": "127.64.0.1"})
        before = self.path.stat()
        self.hosts.write({"db": "127.64.0.1"})
        self.assertEqual(self.path.stat().st_ino, before.st_ino)

    def test_a_lock_that_somebody_holds_for_ever(self):
        waited = []
        self.patch(hosts_file.time, "sleep", waited.append)
        self.patch(hosts_file.time, "monotonic", lambda: sum(waited))
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            told = str(self.assertRaises(Failed, self.hosts.write, {"db": "127.64.0.1"}))
            self.assertIn("another process holds", told)
            self.assertLess(abs(sum(waited) - hosts_file._LOCK_SECONDS), 0.2)
            # Tunnels that are open don't wait for it time and again.
            waited.clear()
            self.assertRaises(Failed, self.hosts.write, {"db": "127.64.0.1"})
            self.assertEqual(waited, [])
        self.hosts.write({"db": "127.64.0.1"})
        with self.path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            self.assertRaises(Failed, self.hosts.clear)
            self.assertLess(abs(sum(waited) - hosts_file._LOCK_SECONDS), 0.2)
