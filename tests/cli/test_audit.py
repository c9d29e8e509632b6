import json
from datetime import UTC, datetime

from click.testing import CliRunner

from tests.cli.fake import TOKEN
from tests.cli.support import CommandTestCase
from tunnelcloud.cli.audit import audit
from tunnelcloud.cli.parameters import Connection
from tunnelcloud.domain.entities import new_id


class AuditTestCase(CommandTestCase):
    events = 0

    def put_event(self, second, hour=9, **fields):
        """Have an event recorded at 09:00 and so many seconds, when the clock shows the hour."""
        self.events += 1
        order = datetime(2026, 3, 2, 9, 0, second, tzinfo=UTC)
        made = new_id("event", int(order.timestamp() * 1000), lambda _: self.events.to_bytes(10))
        at = f"2026-03-02T{hour:02}:00:{second:02}.000Z"
        given = {"event": "login.refused", "actor": "", "data": {}, **fields}
        return self.api.put("audit", at=at, id=made, **given)


class AuditTests(AuditTestCase):
    def test_latest_at_the_bottom(self):
        self.put_event(1, event="site.created", actor="root", data={"object_name": "paris"})
        self.put_event(2, user_name="alice", tunnel_name="db", source_ip="10.0.0.1")
        first, second = self.succeed("audit").splitlines()
        self.assertTrue(first.endswith("site.created              root  paris"), first)
        self.assertTrue(second.endswith("login.refused             alice  db  10.0.0.1"), second)

    def test_lines_of_an_export_move_no_cursor(self):
        line = '{"message":"a\u009b31m\u202e\x1b]0;b\x07"}'
        self.api.override = (200, "application/x-ndjson", f"{line}\n")
        shown = self.succeed("audit", "--ecs")
        self.assertEqual(shown, '{"message":"a\\u009b31m\\u202e\\u001b]0;b\\u0007"}\n')

    def test_what_changed_reads_as_one_would_say_it(self):
        changes = {"target_ports": {"from": [1], "to": [1, 2]}, "title": {"to": ""},
                   "enabled": {"to": False}}  # fmt: skip
        data = {"object_id": "tun_x", "object_name": "db", "changes": changes, "port": 7,
                "reason": "", "connector_id": None}  # fmt: skip
        self.put_event(1, event="tunnel.changed", actor="root", data=data)
        said = self.succeed("audit").rstrip()
        self.assertTrue(said.endswith("root  db port=7 target_ports=1->1, 2 enabled=no"), said)

    def test_nothing_is_said_to_be_nothing(self):
        self.assertEqual(self.run_line("audit", "--user", "alcie")[::2], (0, "no event matches\n"))

    def test_json_is_the_list_of_the_api(self):
        first, second = self.put_event(1), self.put_event(2)
        self.assertEqual(
            self.succeed_json("audit"), {"items": [second, first], "next_cursor": None}
        )
        self.assertEqual(self.succeed_json("audit", "--limit", "1")["items"], [second])

    def test_filters(self):
        alice = self.api.put("users", name="alice", email=None)
        db = self.api.put("tunnels", name="db")
        wanted = self.put_event(1, user_id=alice["id"], tunnel_id=db["id"])
        self.put_event(2, user_id=alice["id"], tunnel_id=None)
        self.put_event(3, event="login.succeeded", user_id=alice["id"], tunnel_id=db["id"])
        items = self.succeed_json(
            "audit", "--user", "alice", "--tunnel", "db", "--event", "login.refused"
        )["items"]
        self.assertEqual(items, [wanted])


class FollowTests(AuditTestCase):
    def follow(self, *steps, arguments=("--json",)):
        """Follow the audit; before each look something happens, then Ctrl-C."""
        happenings = iter(steps)

        def wait(seconds):
            self.assertEqual(seconds, 1.0)
            happening = next(happenings, None)
            if happening is None:
                raise KeyboardInterrupt
            happening()

        connection = Connection(self.api.url, TOKEN, None, wait)
        result = CliRunner().invoke(audit, ["--follow", *arguments], obj=connection)
        self.assertEqual((result.exit_code, result.exception), (0, None))
        return result

    def test_each_event_once_and_in_order(self):
        self.put_event(1)
        result = self.follow(
            lambda: self.put_event(2),
            lambda: None,
            lambda: (self.put_event(3), self.put_event(4)),
        )
        shown = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual(shown, self.api.objects("audit"))

    def test_an_event_that_is_dated_before_the_last_one(self):
        self.put_event(9)
        result = self.follow(lambda: self.put_event(8))
        self.assertEqual(len(result.stdout.splitlines()), 2)

    def test_a_clock_that_goes_back(self):
        self.put_event(1)
        result = self.follow(lambda: self.put_event(20, hour=8), lambda: self.put_event(40, hour=8))
        self.assertEqual(len(result.stdout.splitlines()), 3)

    def test_from_nothing(self):
        result = self.follow(lambda: None, lambda: self.put_event(1), lambda: None)
        self.assertEqual(len(result.stdout.splitlines()), 1)

    def test_more_than_a_page(self):
        self.put_event(0)
        result = self.follow(lambda: [self.put_event(1) for _ in range(450)], arguments=())
        self.assertEqual(len(result.stdout.splitlines()), 451)

    def test_a_pod_that_is_away_for_a_while(self):
        self.put_event(1)

        def leave():
            self.api.away = True

        def stand_behind_a_proxy():
            self.api.away = False
            self.api.override = (502, "text/html", "<html>")

        def return_with_news():
            self.put_event(2)
            self.api.override = None

        result = self.follow(leave, stand_behind_a_proxy, return_with_news)
        self.assertEqual(len(result.stdout.splitlines()), 2)
        self.assertEqual(result.stderr.count("(trying on)"), 1)
