"""What a release is made of fits together: one version, units, users, settings and scripts.

`release/check` installs the packages, which takes minutes.
"""

import gzip
import io
import re
import subprocess
import tarfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import tunnelcloud
from release import build, debian, distributions

ROOT = Path(__file__).parents[1]
UNITS = {".service", ".socket", ".timer"}


class VersionTests(SynchronousTestCase):
    def test_it_stands_in_one_place(self):
        self.assertEqual(build.read_version(ROOT), tunnelcloud.__version__)
        self.assertIn("version = attr: tunnelcloud.__version__", (ROOT / "setup.cfg").read_text())

    def test_debian_orders_a_pre_release_before_its_release(self):
        for version, expected in [
            ("1.2.0", "1.2.0-1"),
            ("1.2.0rc1", "1.2.0~rc1-1"),
            ("1.2.0.dev3", "1.2.0~dev3-1"),
            ("1.2.0.post1", "1.2.0.post1-1"),
        ]:
            self.assertEqual(debian.debian_version(version), expected)


class PackageTests(SynchronousTestCase):
    def test_units_and_users_and_directories_name_each_other(self):
        for package in debian.PACKAGES:
            units = {
                name: debian.unit_text(package, (ROOT / "etc" / name).read_text())
                for name in package.units
            }
            service = units[package.units[0]]
            self.assertIn(f"\nExecStart={package.home}/bin/twistd ", service)
            self.assertIn(f"\nUser={package.user}\n", service)
            self.assertIn(f"\nWorkingDirectory={package.state}\n", service)
            for name, text in units.items():
                self.assertNotIn("/opt/", text)
                if name.endswith(".service"):
                    self.assertIn("\nType=notify\n", text)
                    self.assertIn("\nWatchdogSec=", text)
                    self.assertIn("\nRestart=always\n", text)
                    # Five starts within ten seconds, as while a database starts, are too many else.
                    self.assertIn("\nStartLimitIntervalSec=0\n", text)
            users = (ROOT / "etc" / "sysusers.d" / f"{package.name}.conf").read_text()
            self.assertEqual(users.split()[:3], ["u", package.user, "-"])
            kept = (ROOT / "etc" / "tmpfiles.d" / f"{package.name}.conf").read_text()
            self.assertEqual(
                kept.split()[:5], ["d", package.state, "0700", package.user, package.user]
            )

    def test_settings_are_there_and_read_by_the_service(self):
        for package in debian.PACKAGES:
            service = (ROOT / "etc" / package.units[0]).read_text()
            for source, target in package.conffiles.items():
                self.assertTrue((ROOT / "etc" / source).is_file(), source)
                if target.endswith(".toml"):
                    self.assertIn(f"--config {target}", service)

    def test_each_unit_is_packed(self):
        packed = [*debian.PACKAGES[0].units, *debian.PACKAGES[1].units]
        there = {path.name for path in (ROOT / "etc").iterdir() if path.suffix in UNITS}
        self.assertEqual(set(packed), there)
        for package in debian.PACKAGES:
            for path in package.examples:
                self.assertTrue((ROOT / "etc" / path).is_file(), path)

    def test_each_page_of_the_manual_is_packed(self):
        text = (ROOT / "docs" / "conf.py").read_text()
        pages = text[text.index("man_pages") :]
        made = re.findall(r'"(tunnelcloud[\w.-]*)".*?\[\],\s*(\d)', pages, re.DOTALL)
        packed = [name for package in debian.PACKAGES for name in package.manuals]
        self.assertEqual(sorted(f"{name}.{section}" for name, section in made), sorted(packed))

    def test_what_runs_is_restarted_and_stopped(self):
        pod, connector = debian.PACKAGES
        restart = "try-restart 'tunnelcloud-pod.service' 'tunnelcloud-pod@*.service' ||"
        self.assertIn(restart, debian.script(pod, "postinst"))
        self.assertIn("stop 'tunnelcloud-pod.socket' 'tun", debian.script(pod, "prerm"))
        self.assertIn("disable tunnelcloud-connector.service", debian.script(connector, "prerm"))

    def test_scripts_are_whole(self):
        for package in debian.PACKAGES:
            for name in debian.SCRIPTS:
                text = debian.script(package, name)
                self.assertEqual(re.findall(r"@[A-Z]+@", text), [])
                self.shell_reads(text)

    def test_shell_reads_the_other_scripts(self):
        for path in [
            debian.HERE / "tunnelcloud-connector",
            *(ROOT / "release" / "container").iterdir(),
        ]:
            self.shell_reads(path.read_text())

    def test_what_hides_a_token_shows_what_is_typed_again_after_a_signal(self):
        """dash does nothing at an end by a signal but what is to be done at that signal."""
        text = (debian.HERE / "tunnelcloud-connector").read_text()
        before, _, _ = text.partition("stty -echo")
        for words in ("'stty echo' EXIT", "'exit 130' INT", "'exit 143' TERM HUP"):
            self.assertIn(f"trap {words}\n", before)

    def shell_reads(self, text):
        done = subprocess.run(
            ["/bin/sh", "-n"], input=text, capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_image_copies_what_is_there(self):
        text = (ROOT / "Containerfile").read_text()
        for line in re.findall(r"^COPY (release/.*) /", text, re.MULTILINE):
            for path in line.split():
                self.assertTrue((ROOT / path).stat().st_mode & 0o100, path)


class SettledTests(SynchronousTestCase):
    def archive(self, names, when):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w:gz") as archive:
            for name in names:
                member = tarfile.TarInfo(name)
                member.size, member.mtime, member.uid, member.uname = 3, when, when, f"u{when}"
                archive.addfile(member, io.BytesIO(b"abc"))
        return data.getvalue()

    def test_two_builds_become_the_same(self):
        one = distributions.settled(self.archive(["b", "a"], 1), 1_000)
        other = distributions.settled(self.archive(["a", "b"], 2), 1_000)
        self.assertEqual(one, other)
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(one))) as archive:
            self.assertEqual([(m.name, m.mtime) for m in archive], [("a", 1000), ("b", 1000)])
            self.assertEqual(archive.extractfile("a").read(), b"abc")
