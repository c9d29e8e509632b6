"""What runs of ``connect`` leave for ``status`` and ``stop``."""

import errno
import fcntl
import json
import os
import signal
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.support import CommandTestCase
from tunnelcloud.cli import background, run_files
from tunnelcloud.cli.client import Failed
from tunnelcloud.cli.run_files import OwnRun, live_runs

ROW = {
    "tunnel": "db",
    "state": "ready",
    "why": "",
    "method": "token",
    "forwards": [{"port": 5432, "local_address": "127.64.0.1", "local_port": 5432}],
}
TOLD = {"url": "https://portal", "started_at": "2026-03-02T09:00:00+00:00", "tunnels": [ROW]}


class RunningBase(CommandTestCase):
    def setUp(self):
        super().setUp()
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.patch(os, "environ", {**os.environ, "XDG_RUNTIME_DIR": str(self.directory)})
        self.kept = self.directory / "tunnelcloud"


class RunningTests(RunningBase):
    def begin(self):
        run = OwnRun()
        self.addCleanup(run.clear)
        return run

    def test_a_run_is_shown_while_it_goes_on(self):
        run = self.begin()
        run.write(TOLD)
        [path] = self.kept.iterdir()
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.kept.stat().st_mode), 0o700)
        status, output, _ = self.run_line("status")
        self.assertEqual(status, 0)
        self.assertIn("db      127.64.0.1:5432  ready", output)
        self.assertIn(f"process {os.getpid()}, https://portal, since 2026-03-02", output)
        [shown] = self.succeed_json("status")["runs"]
        self.assertEqual(shown, {"process": os.getpid(), **TOLD})
        run.clear()
        self.assertEqual(self.succeed_json("status"), {"runs": []})
        self.assertEqual(list(self.kept.iterdir()), [])

    def test_what_a_killed_run_left_is_no_run(self):
        self.kept.mkdir(mode=0o700)
        (self.kept / "12345.json").write_text(json.dumps(TOLD))
        (self.kept / "notes.json").write_text("{}")
        self.assertEqual(list(live_runs()), [])
        self.assertEqual([one.name for one in self.kept.iterdir()], ["notes.json"])
        self.assertIn("no tunnels are kept open", self.run_line("stop")[2])

    def test_one_that_begins_says_nothing_yet(self):
        self.begin()
        self.assertEqual([run.told for run in live_runs()], [{}])
        self.assertEqual(self.run_line("status")[0], 0)

    def test_stop_ends_it_and_waits(self):
        run = self.begin()
        sent = []

        def kill(process, number):
            sent.append((process, number))
            run.clear()

        self.patch(run_files.os, "kill", kill)
        self.assertIn(f"stopped process {os.getpid()}", self.run_line("stop")[2])
        self.assertEqual(sent, [(os.getpid(), signal.SIGTERM)])

    def test_one_that_does_not_end(self):
        self.begin()
        self.patch(run_files.os, "kill", lambda process, number: None)
        [run] = live_runs()
        told = str(self.assertRaises(Failed, run.stop, lambda seconds: None))
        self.assertIn(f"`kill -9 {os.getpid()}` ends it", told)

    def test_a_place_that_cant_be_written(self):
        self.kept.write_text("a file")
        self.assertIn("can't write to", str(self.assertRaises(Failed, OwnRun)))


class OtherUsersTests(RunningBase):
    """What another user put there is neither followed, nor believed, nor removed."""

    def keep(self, process, **told):
        """Lock a file as a run does."""
        self.kept.mkdir(mode=0o700, exist_ok=True)
        path = self.kept / f"{process}.json"
        path.write_text(json.dumps(told))
        file = path.open("rb")
        self.addCleanup(file.close)
        fcntl.flock(file, fcntl.LOCK_EX)
        return path

    def test_a_link_is_not_followed(self):
        self.kept.mkdir(mode=0o700)
        target = self.directory / "target"
        target.write_text("precious")
        (self.kept / f"{os.getpid()}.json").symlink_to(target)
        self.assertIn("can't write to", str(self.assertRaises(Failed, OwnRun)))
        self.assertEqual(target.read_text(), "precious")
        self.assertEqual(list(live_runs()), [])

    def test_a_directory_that_is_a_link(self):
        (self.directory / "elsewhere").mkdir()
        self.kept.symlink_to(self.directory / "elsewhere")
        self.assertRaises(Failed, OwnRun)
        self.assertEqual(list((self.directory / "elsewhere").iterdir()), [])

    def test_a_directory_that_others_write_to(self):
        self.kept.mkdir()
        self.kept.chmod(0o777)
        self.assertIn("remove it, or set XDG_RUNTIME_DIR", str(self.assertRaises(Failed, OwnRun)))
        self.assertIn("others may write to it", self.run_line("stop")[2])

    def test_a_directory_of_another_user(self):
        self.kept.mkdir(mode=0o700)
        self.patch(run_files, "_may_be_used", lambda runtime: True)
        self.patch(run_files.os, "geteuid", lambda: self.kept.stat().st_uid + 1)
        self.assertIn("belongs to another user", str(self.assertRaises(Failed, OwnRun)))
        self.assertRaises(Failed, list, live_runs())

    def test_root_has_a_place_of_its_own(self):
        """``sudo -E`` names the directory of the user who called it."""
        if os.geteuid() == 0:
            os.chown(self.directory, 1000, -1)
        self.patch(run_files.os, "geteuid", lambda: 0)
        self.assertEqual(run_files.runs_path(), run_files._OF_ROOT)
        self.directory.rmdir()
        self.assertEqual(run_files.runs_path(), run_files._OF_ROOT)

    def test_a_file_of_another_user_is_left(self):
        self.kept.mkdir(mode=0o700)
        (self.kept / "12345.json").write_text("{}")
        opened = os.open

        def refuse(path, *more, **named):
            if str(path).endswith("12345.json"):
                raise PermissionError(errno.EACCES, "Permission denied")
            return opened(path, *more, **named)

        self.patch(os, "open", refuse)
        self.assertEqual(list(live_runs()), [])
        self.assertTrue((self.kept / "12345.json").exists())

    def test_a_pipe_is_left(self):
        self.kept.mkdir(mode=0o700)
        os.mkfifo(self.kept / "12345.json")
        self.assertEqual(list(live_runs()), [])
        self.assertTrue((self.kept / "12345.json").exists())

    def test_only_the_process_that_wrote_it_is_stopped(self):
        sent = []
        self.patch(run_files.os, "kill", lambda *sending: sent.append(sending))
        paths = [self.keep(os.getppid()), self.keep(os.getpid(), process_start=1)]
        self.assertIn("no tunnels are kept open", self.run_line("stop")[2])
        self.assertEqual(sent, [])
        self.assertTrue(all(path.exists() for path in paths))


class UnitTests(CommandTestCase):
    def test_a_unit_that_systemd_can_read(self):
        output = self.succeed("connect", "--all", "--unit", "--method", "key", "--key-file", "/k y")
        [command] = [line for line in output.splitlines() if line.startswith("ExecStart=/")]
        words = f'--url {self.api.url} connect --all --method key --key-file "/k y"'
        self.assertTrue(command.endswith(words), command)
        self.assertIn("RestartPreventExitStatus=1 2\n", output)
        self.assertIn("connect db web\n", self.succeed("connect", "db", "web", "--unit"))
        self.assertEqual(self.api.requests, [])

    def test_a_unit_runs_in_another_directory(self):
        output = self.succeed("connect", "--all", "--unit", "--hosts-file", "my hosts")
        self.assertIn(f'--hosts-file "{Path.cwd() / "my hosts"}"\n', output)


class BackgroundTests(SynchronousTestCase):
    def said(self, *texts):
        """Show what another process says on its two outputs; give the status, and what is shown."""
        shown, pipes = {False: b"", True: b""}, {}

        def echo(text, *, nl, err):
            shown[err] += text

        self.patch(background.click, "echo", echo)
        for output, text in enumerate(texts, 1):
            reading, writing = os.pipe()
            self.addCleanup(os.close, reading)
            os.write(writing, text)
            os.close(writing)
            pipes[reading] = output
        self.patch(background.os, "waitpid", lambda process, options: (process, 3 << 8))
        return background._status_of(1, pipes), shown[False], shown[True]

    def test_each_output_stays_what_it_is(self):
        left = background._LEFT
        self.assertEqual(self.said(b'{"a": 1}\n' + left, b"note\n" + left),
                         (0, b'{"a": 1}\n', b"note\n"))  # fmt: skip

    def test_one_that_ends(self):
        self.assertEqual(self.said(b"", b"no such tunnel\n"), (3, b"", b"no such tunnel\n"))
