"""A log as JSON has one object a line, wherever twistd writes it."""

import json
from io import StringIO

from twisted.logger import Logger, LogPublisher, textFileLogObserver
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.log_lines import write_lines


class Broken:
    def __str__(self):
        raise RuntimeError


class LinesTests(SynchronousTestCase):
    def setUp(self):
        self.file = StringIO()
        # As twistd makes it.
        chosen = textFileLogObserver(self.file)
        self.is_json = True
        write_lines(chosen, lambda: self.is_json)
        self.publisher = LogPublisher(chosen)
        self.log = Logger("tunnelcloud.pod.links", observer=self.publisher)

    def lines(self):
        return [json.loads(line) for line in self.file.getvalue().splitlines()]

    def test_a_line(self):
        self.log.warn("{name} is away for {seconds} s", name="paris-1", seconds=7)
        [line] = self.lines()
        self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00$")
        self.assertEqual(
            line,
            {
                "level": "warn",
                "logger": "tunnelcloud.pod.links",
                "message": "paris-1 is away for 7 s",
                "values": {"name": "paris-1", "seconds": 7},
            },
        )

    def test_without_values(self):
        self.log.info("ready")
        self.log.info("{line}", line="an event of the audit")
        for line in self.lines():
            self.assertNotIn("values", line)

    def test_whatever_is_in_it_it_stays_one_line(self):
        self.log.info("{a} {b} {c}", a="one\ntwo", b=Broken(), c=float("nan"))
        [line] = self.lines()
        self.assertEqual(line["values"], {"a": "one\ntwo", "b": "(RuntimeError)", "c": "nan"})

    def test_a_failure_has_its_traceback(self):
        try:
            raise KeyError("x")
        except KeyError:
            self.log.failure("it failed", failure=Failure())
        [line] = self.lines()
        self.assertEqual((line["level"], line["message"]), ("critical", "it failed"))
        self.assertIn("KeyError: 'x'", line["traceback"])

    def test_lines_of_the_older_interface(self):
        legacy.LogPublisher(self.publisher, self.publisher).msg("Site starting", "on 8080")
        [line] = self.lines()
        self.assertEqual(line["message"], "Site starting on 8080")

    def test_text_and_back_while_it_runs(self):
        self.is_json = False
        self.log.info("as text")
        self.is_json = True
        self.log.info("as json")
        text, line = self.file.getvalue().splitlines()
        self.assertRegex(text, r"^\d{4}-.* as text$")
        self.assertEqual(json.loads(line)["message"], "as json")

    def test_what_goes_elsewhere_stays_as_it_is(self):
        seen = []
        write_lines(seen.append, lambda: True)
        seen.append("event")
        self.assertEqual(seen, ["event"])
