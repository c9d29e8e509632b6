"""The log takes the lines of the levels that the settings ask for, and a session's name itself."""

import importlib

from twisted.logger import Logger, LogLevel, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.domain.log_areas import AREAS, LEVELS, LogPlan, read_log_plan
from tunnelcloud.net import log_levels
from tunnelcloud.net.log_levels import LogLevels, filter_all
from tunnelcloud.pod import audit_log


class Beginner:
    """Begins a log as twistd does."""

    def __init__(self, publisher):
        self.publisher = publisher

    def beginLoggingTo(self, observers, discardBuffer=False):
        for one in observers:
            self.publisher.addObserver(one)


class LogLevelsTests(SynchronousTestCase):
    def setUp(self):
        self.levels = LogLevels()
        self.patch(log_levels, "LOG_LEVELS", self.levels)
        self.publisher = LogPublisher()
        self.seen = []
        beginner = Beginner(self.publisher)
        filter_all(beginner)
        beginner.beginLoggingTo([self.seen.append], discardBuffer=True)

    def said(self, namespace, level="info"):
        """Tell whether a line is logged."""
        del self.seen[:]
        log = Logger(namespace, observer=self.publisher)
        log.emit(LogLevel.levelWithName(level), "a line")
        return bool(self.seen)

    def test_by_default_all_but_debugging(self):
        for namespace in ("tunnelcloud.ssh.wire", "twisted.conch.ssh", "elsewhere", "stdout"):
            said = [self.said(namespace, level) for level in LEVELS]
            self.assertEqual(said, [False, True, True, True, True])

    def test_a_level_of_an_area(self):
        self.levels.set(LogPlan("warn", {"ssh": "debug", "web": "error"}))
        self.assertTrue(self.said("tunnelcloud.ssh.wire", "debug"))
        self.assertTrue(self.said("twisted.conch.ssh.transport", "debug"))
        self.assertFalse(self.said("tunnelcloud.web.api", "warn"))
        self.assertTrue(self.said("tunnelcloud.link.protocol", "warn"))
        self.assertFalse(self.said("tunnelcloud.link.protocol"))
        self.assertFalse(self.said("elsewhere"))

    def test_the_audit_is_apart_from_the_pod(self):
        self.levels.set(LogPlan("info", {"pod": "warn"}))
        self.assertFalse(self.said("tunnelcloud.pod.links"))
        self.assertTrue(self.said("tunnelcloud.audit"))
        self.levels.set(LogPlan("info", {"audit": "error"}))
        self.assertTrue(self.said("tunnelcloud.pod.links"))
        self.assertFalse(self.said("tunnelcloud.audit"))

    def test_a_line_without_a_level_is_logged(self):
        self.levels.set(LogPlan("critical"))
        self.publisher({"log_format": "x", "log_namespace": "n"})
        self.assertEqual(len(self.seen), 1)

    def test_areas_are_of_loggers_that_are_there(self):
        self.assertEqual(AREAS["audit"], (audit_log._log.namespace,))
        for area, namespaces in AREAS.items():
            for name in namespaces if area != "audit" else ():
                importlib.import_module(name)


class LogPlanTests(SynchronousTestCase):
    def test_what_may_be_said(self):
        self.assertEqual(read_log_plan({}), LogPlan())
        found = read_log_plan({"level": "warn", "levels": {"link": "debug"}})
        self.assertEqual(found, LogPlan("warn", {"link": "debug"}))
        self.assertEqual(read_log_plan({"format": "json"}).format, "json")

    def test_faults_say_what_is_allowed(self):
        for value, said in [
            ("debug", 'level = "info"'),
            ({"lvl": "info"}, 'level = "info"'),
            ({"levels": "debug"}, 'levels = { link = "debug" }'),
            ({"levels": {"shh": "debug"}}, "there is no area shh: use audit, connector"),
            ({"level": "loud"}, "use one of debug, info"),
            ({"format": "xml"}, "format: use one of text, json"),
            ({"levels": {"ssh": 1}}, "use one of debug, info"),
        ]:
            error = self.assertRaises(ValueError, read_log_plan, value)
            self.assertIn(said, str(error))
