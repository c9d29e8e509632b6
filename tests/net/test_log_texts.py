"""No log line has what a terminal obeys, whoever said it."""

import io

from twisted.logger import Logger, LogPublisher, textFileLogObserver
from twisted.python.log import msg
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net import log_texts
from tunnelcloud.net.log_texts import tame

SAID = "a\x1b[2J\r\nroot logged in\u202e\x00"
SHOWN = "a\\x1b[2J\\r\\nroot logged in\\u202e\\x00"


class LogTextsTests(SynchronousTestCase):
    def setUp(self):
        self.written = io.StringIO()
        publisher = LogPublisher(tame, textFileLogObserver(self.written))
        self.log = Logger("here", observer=publisher)

    def lines(self):
        return self.written.getvalue().splitlines()

    def test_texts_and_errors(self):
        self.log.info("{peer}: {reason} {count}", peer=SAID, reason=ValueError(SAID), count=5)
        [line] = self.lines()
        self.assertTrue(line.endswith(f" {SHOWN}: {SHOWN} 5"), line)

    def test_what_is_fine_stays_as_it_is(self):
        error = ValueError("plain")
        event = {"peer": "böse", "error": error, "log_format": "{peer}\n{error}", "time": 1.0}
        same = dict(event)
        tame(event)
        self.assertEqual(event, same)
        self.assertIs(event["error"], error)

    def test_twisteds_older_interface(self):
        seen = []
        self.patch(log_texts.globalLogPublisher, "_observers", [])
        log_texts.tame_all()
        log_texts.tame_all()
        log_texts.globalLogPublisher.addObserver(textFileLogObserver(self.written))
        log_texts.globalLogPublisher.addObserver(seen.append)
        msg("two\nlines \x1b[2J")
        self.assertNotIn("\x1b", self.written.getvalue())
        self.assertIn("lines \\x1b[2J", self.written.getvalue())
        self.assertEqual(len(seen), 1)
