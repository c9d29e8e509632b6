"""A changed pod.toml: what can change does, the rest is named, a fault changes nothing."""

from twisted.logger import LogLevel, PredicateResult, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tunnelcloud.net.log_levels import LogLevels
from tunnelcloud.pod import reloading
from tunnelcloud.pod.reloading import Reloading
from tunnelcloud.settings import PodSettings
from tunnelcloud.settings_files import BadSettings


class ReloadingTests(SynchronousTestCase):
    def setUp(self):
        self.taken = []
        self.logged = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)

    def reload(self, before, after):
        def read():
            if isinstance(after, Exception):
                raise after
            return PodSettings.model_validate(after)

        one = Reloading(
            PodSettings.model_validate(before), read, {"ssh.exempt_networks": self.taken.append}
        )
        one.reload()
        return one.settings

    def said(self, key):
        return [event[key] for event in self.logged if key in event]

    def test_a_change_is_taken_over(self):
        settings = self.reload({}, {"ssh": {"exempt_networks": ["10.0.0.0/8"]}})
        self.assertEqual(self.taken, [["10.0.0.0/8"]])
        self.assertEqual(settings.ssh.exempt_networks, ["10.0.0.0/8"])

    def test_what_needs_a_restart_is_named_and_stays(self):
        settings = self.reload({}, {"name": "pod-2", "ssh": {"listen": ["tcp:2022"]}})
        self.assertEqual(self.said("names")[0], "name, ssh.listen")
        self.assertEqual((settings.name, settings.ssh.listen), ("pod-1", ["tcp:2222"]))

    def test_levels_of_the_log(self):
        levels = LogLevels()
        self.patch(reloading, "LOG_LEVELS", levels)
        settings = PodSettings.model_validate({"log": {"levels": {"ssh": "debug"}}})
        takers = reloading.takers(settings, None, None)
        Reloading(PodSettings(), lambda: settings, takers).reload()
        event = {"log_namespace": "tunnelcloud.ssh.wire", "log_level": LogLevel.debug}
        self.assertEqual(levels(event), PredicateResult.maybe)

    def test_no_change(self):
        self.reload({}, {})
        self.assertEqual((self.taken, self.said("names")), ([], ["-"]))

    def test_a_fault_changes_nothing(self):
        settings = self.reload({"drain": "5s"}, BadSettings("pod.toml: drain: use a number"))
        self.assertEqual(self.said("error"), ["pod.toml: drain: use a number"])
        self.assertEqual(settings.drain, 5)
