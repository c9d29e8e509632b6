"""The shipped file for ``logrotate``, run by ``logrotate`` itself on the audit's file."""

import grp
import os
import pwd
import re
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.requirements import require_executable
from tunnelcloud.sinks.files import FileOutlet

ETC = Path(__file__).parents[2] / "etc"
SHIPPED = ETC / "logrotate.d" / "tunnelcloud-pod"
DIRECTORY = "/var/log/tunnelcloud"


class RotationTests(SynchronousTestCase):
    def setUp(self):
        self.logs = Path(self.mktemp()).resolve()
        self.logs.mkdir(mode=0o750)
        self.outlet = FileOutlet(self.logs / "audit.log")
        self.addCleanup(self.outlet.reopen)
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
        text = SHIPPED.read_text().replace(DIRECTORY, str(self.logs))
        text = text.replace("tunnelcloud tunnelcloud", f"{user} {group}")
        self.told = self.logs / "told"
        text, count = re.subn(r"systemctl kill .*", f"touch {self.told}", text)
        self.assertEqual(count, 1)
        self.file = self.logs / "rotate.conf"
        self.file.write_text(text)
        self.file.chmod(0o644)

    def rotate(self):
        """Let a day pass; tell the pod to open its file again if logrotate would."""
        state = self.logs / "status"
        subprocess.run(
            [require_executable("logrotate"), "--force", "--state", state, self.file],
            check=True,
            timeout=60,
        )
        if self.told.exists():
            self.told.unlink()
            self.outlet.reopen()

    def test_each_line_is_in_one_of_the_files(self):
        for line in (b"1", b"2", b"3"):
            self.successResultOf(self.outlet.send([line]))
            self.rotate()
        self.successResultOf(self.outlet.send([b"4"]))
        self.assertEqual((self.logs / "audit.log").read_bytes(), b"4\n")
        self.assertEqual((self.logs / "audit.log").stat().st_mode & 0o777, 0o640)
        self.assertEqual((self.logs / "audit.log.1").read_bytes(), b"3\n")
        older = sorted(path.name for path in self.logs.glob("audit.log.*.gz"))
        self.assertEqual(older, ["audit.log.2.gz", "audit.log.3.gz"])

    def test_the_pods_that_it_tells_are_units(self):
        [line] = re.findall(r"systemctl kill .*", SHIPPED.read_text())
        units = re.findall(r"'([^']+)'", line)
        self.assertEqual(units, ["tunnelcloud-pod.service", "tunnelcloud-pod@*.service"])
        for unit in units:
            self.assertTrue((ETC / unit.replace("*", "")).is_file())
            self.assertIn(
                f"LogsDirectory={Path(DIRECTORY).name}\n", (ETC / unit.replace("*", "")).read_text()
            )
