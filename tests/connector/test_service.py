import random
from datetime import UTC, datetime
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.connector.reactors import NetworkReactor
from tunnelcloud import daemon
from tunnelcloud.connector.addresses import parse_access_list
from tunnelcloud.connector.service import ConnectorService
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.join_tokens import JoinToken


class ServiceTests(SynchronousTestCase):
    def test_systemd_hears_that_it_runs_though_no_pod_answers_yet(self):
        heard = []
        self.patch(daemon, "outlive_hangup", lambda reactor, hear: None)
        self.patch(daemon, "tell_ready", lambda reactor: heard.append("ready"))
        self.patch(daemon, "notify", heard.append)
        service = ConnectorService(
            NetworkReactor(),
            ConnectorState(Path(self.mktemp())),
            JoinToken(PublicAddress("192.0.2.1", 8443), bytes(32), bytes(20)),
            parse_access_list((), ()),
            version="0",
            now=lambda: datetime.now(UTC),
            random=random.random,
            give_up=self.fail,
        )
        service.check()
        service.startService()
        self.assertEqual(heard, ["ready"])
        service.stopService()
        self.assertEqual(heard, ["ready", "STOPPING=1"])
