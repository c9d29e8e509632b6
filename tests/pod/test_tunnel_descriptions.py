"""What `ssh pod ls` says of a tunnel."""

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain import values
from tunnelcloud.domain.entities import Session, SessionMethod
from tunnelcloud.domain.policy import Decision
from tunnelcloud.domain.ssh_command import PublicAddress
from tunnelcloud.pod.tunnel_descriptions import describe
from tunnelcloud.ssh.greeting_text import ls_text

SESSION = Session(
    "s", "u", "alice", SessionMethod.KEY, "alice", "192.0.2.1", "OpenSSH", "pod_1", values.NOW
)


class StateTests(SynchronousTestCase):
    def state(self, attached, refusal, seen=None):
        tunnel = values.tunnel("web")
        view = values.view(values.grant(tunnel))
        row = describe(
            view,
            SESSION,
            tunnel,
            PublicAddress("pod", 22),
            attached,
            Decision(not refusal, refusal),
            {5432: ""} if seen is None else seen,
        )
        self.assertEqual(row.api()["state"], row.state)
        return row.state

    def test_the_reason_a_channel_would_get_comes_first(self):
        self.assertEqual(self.state(True, ""), "Ready")
        self.assertEqual(self.state(False, ""), "Site paris is offline")
        for attached in (True, False):
            state = self.state(attached, "web: opens Sat 09:00 Europe/Paris")
            self.assertEqual(state, "Opens Sat 09:00 Europe/Paris")

    def test_what_was_not_reached_is_not_ready(self):
        self.assertEqual(self.state(True, "", {}), "Not checked yet")
        self.assertEqual(self.state(True, "", {5432: "refused"}), "Refused")


class ListingTests(SynchronousTestCase):
    def test_commands_by_key_say_which_keys_are_tried(self):
        view = values.view(values.grant(values.tunnel("web")))
        for method, said in ((SessionMethod.KEY, True), (SessionMethod.TOKEN, False)):
            session = evolve(SESSION, method=method)
            pod = PublicAddress("pod", 22)
            row = describe(
                view, session, view.grants[0].tunnel, pod, True, Decision(True, ""), {5432: ""}
            )
            self.assertEqual("add -i FILE" in "".join(ls_text([row])), said)
