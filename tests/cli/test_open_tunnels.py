"""Several tunnels kept open, with a clock, an API and an ssh of the test's own."""

from types import SimpleNamespace

from tests.cli.kept_open import FakeSsh, TogetherCase, item
from tunnelcloud.cli.client import Failed, Refused, Unreachable


class TogetherTests(TogetherCase):
    def test_one_connection_for_all(self):
        self.begin()
        self.assertEqual(len(FakeSsh.started), 1)
        self.assertEqual(self.ssh.token, "token 0")
        self.assertEqual(self.ssh.known_hosts, ["[pod.example.com]:2222 ssh-ed25519 AAAA"])
        self.assertEqual(
            self.ssh.forwards,
            [f"{self.address(name)}:5432:10.0.0.{at}:5432"
             for at, name in enumerate(("db", "web", "cache"), 1)],
        )  # fmt: skip
        self.assertEqual(self.ssh.words[-3:], ["-p", "2222", "alice@pod.example.com"])
        self.assertEqual(set(self.board.rows.values()), {("connecting", "")})
        self.be_up()
        self.assertEqual(set(self.board.rows.values()), {("ready", "")})

    def test_those_that_are_named_alone(self):
        self.begin("web", "db")
        self.assertEqual(list(self.board.rows), ["web", "db"])
        told = str(self.assertRaises(Failed, self.begin, "web", "nothing"))
        self.assertIn("you have no tunnel 'nothing'", told)

    def test_one_connection_for_each_method(self):
        self.api.items[1]["methods"] = ["key"]
        self.begin()
        self.assertEqual([one.token for one in FakeSsh.started], ["token 0", None])
        self.assertEqual([len(one.forwards) for one in FakeSsh.started], [2, 1])

    def test_a_method_that_some_dont_have_is_told_in_their_rows(self):
        self.api.items[1]["methods"] = ["key"]
        self.begin(method="key")
        self.be_up()
        self.assertEqual(self.board.rows["web"], ("ready", ""))
        why = "db opens with a token, not with a key"
        self.assertEqual(self.board.rows["db"], ("failed", why))

    def test_what_is_shut_is_told_and_the_others_go_on(self):
        self.api.items[0] |= {"standing": "shut", "state": "Opens Mon 09:00 Europe/Paris"}
        self.begin()
        self.be_up()
        self.assertEqual(self.board.rows["db"], ("shut", "opens Mon 09:00 Europe/Paris"))
        self.assertEqual(self.board.rows["web"], ("ready", ""))
        self.api.items[0] |= {"standing": "ready", "state": "Ready"}
        self.step(31)
        self.assertEqual(self.board.rows["db"], ("ready", ""))

    def test_no_token_is_made_while_all_are_shut(self):
        for one in self.api.items:
            one |= {"standing": "offline", "state": "Site offline since 09:00 UTC"}
        self.begin()
        for _ in range(5):
            self.step(31)
        self.assertEqual((FakeSsh.started, self.tokens), ([], []))
        self.api.items[0]["standing"] = "ready"
        self.step(31)
        self.assertEqual(len(self.ssh.forwards), 3)

    def test_a_port_in_use_is_told(self):
        self.in_use = {5432}
        self.begin()
        self.be_up()
        why = "port 5432 is in use here: 5433 is used"
        self.assertEqual(self.board.rows["db"], ("ready", why))
        self.assertIn(":5433:10.0.0.1:5432", self.ssh.forwards[0])

    def test_a_port_that_was_taken_in_the_moment_before(self):
        self.begin()
        self.free = {(self.address("db"), 5432)}
        self.be_up()
        state, why = self.board.rows["db"]
        self.assertEqual(
            (state, why), ("failed", f"ssh could not listen at {self.address('db')}:5432")
        )
        self.assertEqual(self.board.rows["web"][0], "ready")

    def test_a_range(self):
        self.api.items = [item(1, "db", target_ports=["8000-8100", "9000"])]
        self.begin()
        self.assertEqual(len(self.ssh.forwards), 17)
        self.be_up()
        self.assertEqual(self.board.rows["db"], ("ready", "of each range the first 16 are open"))
        [row] = self.together.rows
        self.assertEqual(row.places, f"{row.address}:8000-8015, 9000")

    def test_nothing_is_assigned(self):
        self.api.items = []
        self.assertIn("no tunnel is assigned", str(self.assertRaises(Failed, self.begin)))


class ElsewhereTests(TogetherCase):
    own = False

    def test_free_ports_of_one_address(self):
        self.begin()
        ports = [forward.split(":")[:2] for forward in self.ssh.forwards]
        self.assertEqual(ports, [["127.0.0.1", str(port)] for port in (5432, 5433, 5434)])
        self.assertEqual(self.together.rows[1].places, "127.0.0.1:5433 (for 5432)")


class MeanwhileTests(TogetherCase):
    def test_added_taken_away_and_given_back(self):
        self.begin()
        self.be_up()
        db = self.api.items.pop(0)
        self.api.items.append(item(4, "late"))
        gone = f"{self.address('db')}:5432:10.0.0.1:5432"
        self.step(31)
        self.assertEqual(self.board.rows["db"], ("gone", "it is no longer assigned to you"))
        self.assertEqual(self.board.rows["late"], ("ready", ""))
        late = f"{self.address('late')}:5432:10.0.0.4:5432"
        self.assertEqual(self.ssh.changes, [("cancel", gone), ("forward", late)])
        self.api.items.append(db)
        self.step(31)
        self.assertEqual(self.board.rows["db"], ("ready", ""))
        self.assertEqual(self.ssh.changes[2:], [("forward", gone)])
        self.assertEqual(len(FakeSsh.started), 1)

    def test_names_are_all_that_was_asked_for(self):
        self.begin("db", "web")
        self.be_up()
        self.api.items.append(item(4, "late"))
        self.step(31)
        self.assertEqual(list(self.board.rows), ["db", "web"])

    def test_another_target(self):
        self.begin()
        self.be_up()
        self.api.items[0]["target_address"] = "10.0.0.9"
        self.step(31)
        at = self.address("db")
        self.assertEqual(
            self.ssh.changes,
            [("cancel", f"{at}:5432:10.0.0.1:5432"), ("forward", f"{at}:5432:10.0.0.9:5432")],
        )

    def test_one_that_ssh_wont_listen_for(self):
        self.patch(FakeSsh, "refused", ("10.0.0.4",))
        self.begin()
        self.be_up()
        self.api.items.append(item(4, "late"))
        self.step(31)
        self.assertEqual(self.board.rows["late"][0], "failed")
        self.assertEqual(self.board.rows["db"][0], "ready")

    def test_the_last_one_is_taken_away(self):
        self.begin()
        self.be_up()
        self.api.items = []
        self.step(31)
        self.assertEqual({state for state, _ in self.board.rows.values()}, {"gone"})
        self.assertTrue(self.ssh.ended)

    def test_an_api_that_is_away_changes_nothing(self):
        self.begin()
        self.be_up()
        self.api.fault = Unreachable("can't reach it")
        self.step(31)
        self.assertEqual(set(self.board.rows.values()), {("ready", "")})
        self.api.fault = Refused("the API token is wrong or over", 401)
        self.assertRaises(Refused, self.step, 31)


class ReconnectingTests(TogetherCase):
    def test_a_new_token_each_time_within_five_seconds(self):
        self.begin()
        for round_ in range(1, 9):
            self.be_up()
            self.step(20)
            self.lose("Connection to pod.example.com closed by remote host.")
            self.assertEqual(self.board.rows["db"][0], "reconnecting")
            self.assertIn("closed by remote host", self.board.rows["db"][1])
            self.step(5)
            self.assertEqual(
                (len(FakeSsh.started), self.ssh.token), (round_ + 1, f"token {round_}")
            )
        self.assertTrue(all(one.ended for one in FakeSsh.started[:-1]))

    def test_a_pod_that_is_away_is_tried_every_four_seconds_at_most(self):
        self.begin()
        self.be_up()
        self.token_fault = Unreachable("can't reach it")
        self.lose()
        self.asked = 0
        for _ in range(400):
            self.step(0.25)
        self.assertIn(self.asked, range(25, 30))
        self.token_fault = None
        self.step(4)
        self.assertEqual(len(FakeSsh.started), 2)

    def test_a_refusal_at_the_start_is_the_end(self):
        self.begin()
        self.ssh.lines, self.ssh.over = (
            ["alice@pod: Permission denied (keyboard-interactive)."],
            True,
        )
        told = str(self.assertRaises(Failed, self.step, 0.1))
        self.assertIn("Permission denied", told)
        self.assertEqual(self.board.rows["db"][0], "refused")
        self.assertEqual(len(FakeSsh.started), 1)

    def test_a_user_who_was_blocked_is_told_once(self):
        self.begin()
        self.be_up()
        self.token_fault = Refused("user alice is blocked", 409)
        self.lose()
        self.assertIn("blocked", str(self.assertRaises(Failed, self.step, 5)))

    def test_one_methods_refusal_leaves_the_other_alone(self):
        self.api.items[1]["methods"] = ["key"]
        self.begin()
        FakeSsh.started[0].ready = True
        self.lose("alice@pod: Permission denied (publickey).")
        self.assertEqual(self.board.rows["web"][0], "refused")
        self.assertEqual(self.board.rows["db"][0], "ready")

    def test_after_the_machine_slept(self):
        self.begin()
        self.be_up()
        self.together._sleep = SimpleNamespace(is_over=lambda: True)
        self.step(0.1)
        self.assertTrue(FakeSsh.started[0].ended)
        self.assertEqual(len(FakeSsh.started), 2)

    def test_one_that_never_gets_ready(self):
        self.begin()
        self.step(61)
        self.assertTrue(FakeSsh.started[0].ended)
        self.assertEqual(self.board.rows["db"][1], "ssh did not get ready in time")

    def test_why_a_stream_was_refused_is_told(self):
        self.begin()
        self.be_up()
        self.ssh.lines = ["channel 4: open failed: administratively prohibited: db: held"]
        self.step(0.1)
        self.assertEqual(self.board.told, ["administratively prohibited: db: held"])

    def test_the_end(self):
        self.begin()
        self.together.end()
        self.assertTrue(self.ssh.ended)


class CostTests(TogetherCase):
    def test_a_step_does_nothing_while_nothing_happens(self):
        self.begin()
        self.be_up()
        self.assertEqual(self.step(), 0.5)
        self.assertEqual(len(FakeSsh.started), 1)

    def test_two_hundred_with_all_of_their_ports_are_one_command_that_fits(self):
        self.api.items = [
            item(n, f"tunnel-{n:03d}", target_ports=["8000-8099"]) for n in range(1, 201)
        ]
        self.begin()
        self.assertEqual(len(self.ssh.forwards), 3200)
        # What Linux takes is 2 MiB and macOS 1 MiB; each word costs a pointer as well.
        self.assertLess(sum(len(word) + 9 for word in self.ssh.words), 500_000)
