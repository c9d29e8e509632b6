from tests.cli import fake
from tests.cli.fake import JOIN
from tests.cli.support import CommandTestCase
from tunnelcloud.cli import crud
from tunnelcloud.domain.join_tokens import SECRET_LENGTH, JoinToken
from tunnelcloud.domain.ssh_command import PublicAddress


class MakingTests(CommandTestCase):
    def test_site(self):
        made = self.succeed_json("site", "create", "paris", "--title", "Paris, rue X")
        self.assertEqual(made, self.api.objects("sites")[0])
        self.assertEqual((made["name"], made["title"]), ("paris", "Paris, rue X"))

    def test_only_what_is_given_is_sent(self):
        self.succeed("site", "create", "paris")
        self.assertEqual(self.api.requests, [("POST", "sites", {}, {"name": "paris"})])

    def test_connector_shows_how_to_start_it(self):
        self.succeed("site", "create", "paris")
        self.assertEqual(
            self.succeed_json("connector", "create", "paris-1", "--site", "paris")["join"], JOIN
        )
        output = self.succeed("connector", "create", "paris-2", "--site", "paris")
        self.assertIn(JOIN["command"], output)
        output = self.succeed("connector", "join-token", "paris-1")
        self.assertIn(JOIN["command"], output)
        self.assertIn("(umask 077; cat > paris-1.token)", output)
        self.assertEqual(self.succeed_json("connector", "join-token", "paris-1"), JOIN)

    def test_a_join_token_that_leads_nowhere_from_elsewhere(self):
        for host, warned in (("localhost", True), ("127.0.0.1", True), ("pod.example.com", False)):
            token = JoinToken(PublicAddress(host, 8443), bytes(32), bytes(SECRET_LENGTH)).encode()
            self.patch(fake, "JOIN", {**JOIN, "token": token})
            self.api.collections.pop("connectors", None)
            status, output, errors = self.run_line("connector", "join-token", self.connector())
            self.assertEqual((status, "tunnelcloud-connector join" in output), (0, True))
            self.assertEqual("connectors.public_address" in errors, warned, errors)

    def connector(self):
        return self.api.put("connectors", name="paris-1")["name"]

    def test_a_check_shows_each_hop_and_fails_with_the_last(self):
        self.api.put("tunnels", name="db")
        step = {"name": "connector", "ok": True, "milliseconds": 0.61, "text": "site paris answers",
                "warning": ""}  # fmt: skip
        self.api.checked = {"ok": True, "steps": [{**step, "warning": "soon"}]}
        output = self.succeed("tunnel", "check", "db", "--port", "5432")
        self.assertRegex(output, r"connector +yes +0\.6 ms +site paris answers \(soon\)")
        method, path, query, _ = self.api.requests[-1]
        self.assertEqual((method, path.split("/")[-1], query), ("POST", "check", {"port": "5432"}))
        self.api.checked = {"ok": False, "steps": [{**step, "ok": False}]}
        status, output, errors = self.run_line("tunnel", "check", "db")
        self.assertEqual(status, 1)
        self.assertIn("connector  no ", output)
        self.assertIn("db can't be reached: the last step failed", errors)

    def test_who_a_user_is_at_providers(self):
        alice = self.api.put("users", name="alice")
        provider = self.api.put("identity-providers", name="corp")
        self.succeed("user", "link", "alice", "--provider", "corp", "--subject", "sub-1")
        path = f"users/{alice['id']}/identities"
        body = {"identity_provider_id": provider["id"], "subject": "sub-1"}
        self.assertEqual(self.api.requests[-1], ("POST", path, {}, body))
        self.assertIn("sub-1", self.succeed("user", "identities", "alice"))
        self.assertEqual(self.api.requests[-1], ("GET", path, {}, None))
        (linked,) = self.api.objects(path)
        linked["id"] = provider["id"]  # what the API knows it by
        self.assertIn(
            "unlinked alice", self.succeed("user", "unlink", "alice", "--provider", "corp")
        )
        self.assertEqual(self.api.requests[-1][:2], ("DELETE", f"{path}/{provider['id']}"))

    def test_a_failed_check_is_told_where_it_matters(self):
        fields = {"check_fault": "the provider is away", "issuer": "https://x", "client_id": "c"}
        self.api.put("identity-providers", name="corp", enabled=True, **fields)
        _, _, errors = self.run_line("identity-provider", "set", "corp", "--title", "Corp")
        self.assertIn("warning: the check failed: the provider is away", errors)
        _, _, errors = self.run_line("identity-provider", "set", "corp", "--disabled")
        self.assertEqual(errors, "")

    def test_a_provider_is_checked(self):
        self.api.put("identity-providers", name="corp")
        output = self.succeed("identity-provider", "check", "corp")
        self.assertIn("corp answers as it should", output)
        self.api.fault = "the provider is away"
        status, _, errors = self.run_line("identity-provider", "check", "corp")
        self.assertEqual(status, 1)
        self.assertIn("corp can't be used: the provider is away", errors)
        status, output, _ = self.run_line("identity-provider", "check", "corp", "--json")
        self.assertEqual(status, 1)
        self.assertIn('"check_fault": "the provider is away"', output)

    def test_tunnel(self):
        site = self.api.put("sites", name="paris")
        made = self.succeed_json(
            *("tunnel", "create", "db", "--site", "paris", "--address", "10.0.0.5"),
            *("--port", "5432", "--port", "8000-8010", "--external-address", "db.example.com"),
            *("--local-port-offset", "-100", "--disabled", "--check", "tls"),
        )
        del made["id"], made["created_at"]
        self.assertEqual(
            made,
            {
                "name": "db",
                "site_id": site["id"],
                "target_address": "10.0.0.5",
                "target_ports": ["5432", "8000-8010"],
                "external_address": "db.example.com",
                "local_port_offset": -100,
                "target_check": "tls",
                "enabled": False,
            },
        )

    def test_policy(self):
        made = self.succeed_json(
            *("policy", "create", "office", "--source", "10.0.0.0/8", "--source", "2001:db8::/32"),
            *("--window", "Mon-Fri 09:00-18:00 Europe/Paris", "--max-session", "8h"),
            *("--idle", "15m", "--max-channels", "4", "--max-sessions", "2"),
            *("--max-token-sessions", "3", "--until", "2026-12-31T18:00+01:00"),
        )
        del made["id"], made["created_at"]
        self.assertEqual(
            made,
            {
                "name": "office",
                "source_networks": ["10.0.0.0/8", "2001:db8::/32"],
                "windows": ["Mon-Fri 09:00-18:00 Europe/Paris"],
                "max_session_seconds": 28800,
                "idle_seconds": 900,
                "max_channels": 4,
                "max_sessions": 2,
                "max_token_sessions": 3,
                "valid_until": made["valid_until"],
            },
        )
        self.assertRegex(made["valid_until"], r"^2026-12-31T\d\d:00:00[+-]\d\d:00$")

    def test_taken_name(self):
        self.succeed("site", "create", "paris")
        self.assertEqual(self.fail_line("site", "create", "paris"), "Error: name 'paris': is taken")

    def test_required(self):
        line = self.fail_line("tunnel", "create", "db", "--site", "paris", status=2)
        self.assertEqual(line, "Error: Missing option '--address'.")
        self.assertEqual(self.api.requests, [])

    def test_bad_values(self):
        for arguments, told in [
            (("--idle", "15"), "use a number and a unit"),
            (("--idle", "0m"), "use a number and a unit"),
            (("--from", "soon"), "use a date or a time"),
            (("--max-channels", "0"), "use a whole number from 1"),
        ]:
            line = self.fail_line("policy", "create", "office", *arguments, status=2)
            self.assertIn(told, line)
            self.assertIn(arguments[0], line)


class FindingTests(CommandTestCase):
    def test_by_name_email_and_id(self):
        self.api.put("users", name="bob", email="alice@bob.example")
        alice = self.api.put("users", name="alice", email="Alice@example.com")
        for wanted in ("alice", "ALICE", "alice@example.com", alice["id"]):
            self.assertEqual(self.succeed_json("user", "show", wanted), alice)

    def test_a_name_with_an_underscore_is_a_name(self):
        found = self.api.put("users", name="usr_backup", email=None)
        self.assertEqual(self.succeed_json("user", "show", "usr_backup"), found)

    def test_unknown(self):
        self.assertEqual(
            self.fail_line("tunnel", "delete", "db"),
            "Error: there is no tunnel 'db'; `tunnelcloud tunnel list` shows what there is",
        )

    def test_an_answer_that_was_not_asked_for_is_not_taken(self):
        self.api.override = (
            *(200, "application/json"),
            '{"items": [{"id": "usr_x", "name": "bob"}], "next_cursor": null}',
        )
        self.assertIn("there is no user 'alice'", self.fail_line("user", "delete", "alice"))

    def test_show_tells_all_fields_and_names(self):
        site = self.api.put("sites", name="paris")
        self.api.put(
            *("tunnels",),
            name="db",
            site_id=site["id"],
            target_ports=["5432", "8000-8010"],
            enabled=True,
            something_new="here too",
        )
        output = self.succeed("tunnel", "show", "db")
        for line in (r"site +paris", r"ports +5432, 8000-8010", r"enabled +yes", "new +here too"):
            self.assertRegex(output, line)


class ListingTests(CommandTestCase):
    def test_table(self):
        site = self.api.put("sites", name="paris", title="Paris")
        self.api.put("sites", name="a-longer-name", title="巴黎")
        self.assertEqual(
            self.succeed("site", "list").splitlines(),
            [
                "NAME           TITLE  ID",
                f"paris          Paris  {site['id']}",
                f"a-longer-name  巴黎   {self.api.objects('sites')[1]['id']}",
            ],
        )

    def test_json_is_the_list_of_the_api(self):
        site = self.api.put("sites", name="paris")
        self.assertEqual(self.succeed_json("site", "list"), {"items": [site], "next_cursor": None})

    def test_all_pages(self):
        for number in range(401):
            self.api.put("groups", name=f"g{number}")
        items = self.succeed_json("group", "list")["items"]
        self.assertEqual([item["name"] for item in items], [f"g{n}" for n in range(401)])
        self.assertEqual(len(self.api.requests), 3)

    def test_limit(self):
        for number in range(5):
            self.api.put("groups", name=f"g{number}")
        status, output, errors = self.run_line("group", "list", "--limit", "2")
        self.assertEqual((status, len(output.splitlines())), (0, 3))
        self.assertEqual(errors, "there are more than these 2: see --limit\n")

    def test_nothing(self):
        self.assertEqual(self.run_line("policy", "list"), (0, "", "nothing to list\n"))

    def test_names_stand_for_ids_and_are_asked_once(self):
        site = self.api.put("sites", name="paris")
        for name in ("db", "web"):
            self.api.put("tunnels", name=name, site_id=site["id"])
        self.api.put("tunnels", name="lost", site_id="sit_" + "9" * 26)
        rows = [line.split()[:2] for line in self.succeed("tunnel", "list").splitlines()[1:]]
        self.assertEqual(rows, [["db", "paris"], ["web", "paris"], ["lost", "sit_" + "9" * 26]])
        self.assertEqual(len(self.api.requests), 3)

    def test_nothing_moves_the_cursor(self):
        self.api.put("sites", name="paris", title="\x1b[2J\u202egood\r\n\x00")
        line = self.succeed("site", "list").splitlines()[1]
        self.assertIn(r"\x1b[2J\u202egood", line)
        self.assertTrue(line.isprintable())


class ChangingTests(CommandTestCase):
    def test_set(self):
        db = self.api.put("tunnels", name="db", external_address="x", target_ports=["1"])
        changed = self.succeed_json(
            *("tunnel", "set", "db", "--name", "db2", "--port", "5433", "--external-address", "")
        )
        self.assertEqual(changed, self.api.objects("tunnels")[0])
        self.assertEqual(
            self.api.requests[-1],
            (
                *("PATCH", f"tunnels/{db['id']}", {}),
                {"target_ports": ["5433"], "external_address": None, "name": "db2"},
            ),
        )

    def test_empty_takes_away(self):
        self.api.put("policies", name="office")
        self.succeed(
            *("policy", "set", "office", "--window", "", "--idle", "", "--from", ""),
            *("--max-sessions", ""),
        )
        self.assertEqual(
            self.api.requests[-1][3],
            {"windows": [], "idle_seconds": None, "valid_from": None, "max_sessions": None},
        )

    def test_nothing_to_set(self):
        self.api.put("sites", name="paris")
        self.assertIn("nothing to set", self.fail_line("site", "set", "paris", status=2))

    def test_delete_asks_at_a_terminal(self):
        """It says what would be cut; anything but yes leaves all as it is."""
        self.patch(crud, "at_terminal", lambda: True)
        self.api.put("sites", name="paris", title="")
        cost = {"users": 2, "channels": 3, "sessions": 0, "objects": {"tunnel": 4}, "in_use": 0}
        self.api.cost = cost
        status, _, errors = self.run_line("site", "delete", "paris", typed="n\n")
        self.assertEqual(status, 1)
        self.assertIn(
            "Delete site paris? It cuts 3 open connections of 2 users; takes 4 tunnels with it.",
            errors,
        )
        self.assertEqual(len(self.api.objects("sites")), 1)
        status, _, _ = self.run_line("site", "delete", "paris", typed="y\n")
        self.assertEqual((status, self.api.objects("sites")), (0, []))
        self.api.put("sites", name="lyon", title="")
        told = self.succeed("site", "delete", "lyon", "--yes")
        self.assertIn("deleted site lyon. It cuts 3 open connections of 2 users", told)

    def test_delete(self):
        self.api.put("sites", name="paris")
        told = self.succeed("site", "delete", "paris", "--yes")
        self.assertEqual(told, "deleted site paris. Nothing depends on it.\n")
        self.assertEqual(self.api.objects("sites"), [])
        self.api.put("sites", name="lyon")
        self.assertEqual(self.succeed_json("site", "delete", "lyon", "--yes"), {})

    def test_delete_where_nobody_can_be_asked(self):
        self.api.put("sites", name="paris")
        line = self.fail_line("site", "delete", "paris")
        self.assertIn("Delete site paris? Nothing depends on it. Add --yes to confirm", line)
        self.assertEqual(len(self.api.objects("sites")), 1)

    def test_block(self):
        self.api.put("users", name="alice", email=None, blocked=False)
        self.assertEqual(self.succeed("user", "block", "alice"), "blocked user alice\n")
        self.assertIs(self.api.objects("users")[0]["blocked"], True)
        self.assertIs(self.succeed_json("user", "unblock", "alice")["blocked"], False)

    def test_invite(self):
        self.api.put("users", name="alice", email=None)
        self.assertIn("https://portal.example.com/", self.succeed("user", "invite", "alice"))

    def test_members(self):
        group = self.api.put("groups", name="dba")
        alice = self.api.put("users", name="alice", email=None)
        self.assertEqual(self.succeed("group", "add", "dba", "alice"), "added alice to dba\n")
        self.assertEqual(self.api.members, {group["id"]: [alice["id"]]})
        self.assertEqual(self.succeed_json("group", "members", "dba")["items"], [alice])
        self.assertEqual(self.succeed_json("group", "remove", "dba", "alice"), {})
        self.assertEqual(self.api.members, {group["id"]: []})
        self.assertIn("no such member", self.fail_line("group", "remove", "dba", "alice"))
