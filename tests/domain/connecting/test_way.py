"""What is generated for a tunnel keeps to product.md, whatever the tunnel looks like."""

import json
import re

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from tests.domain.values import NOW, tunnel
from tunnelcloud.domain.connecting import files
from tunnelcloud.domain.connecting.programs import PROGRAMS
from tunnelcloud.domain.connecting.settings import Kind
from tunnelcloud.domain.connecting.tools import (
    CLIENT_NAMES,
    CONNECTING_NAMES,
    suggested_tools,
    tool_settings,
)
from tunnelcloud.domain.connecting.way import Way, logins_of
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.users import User
from tunnelcloud.domain.ssh_command import PublicAddress, suggested_ports

BOTH = (Method.TOKEN, Method.KEY)
TOOL_NAMES = {**CLIENT_NAMES, **CONNECTING_NAMES}
PROGRAM_NAMES = {one.slug for one in PROGRAMS}
POD = PublicAddress("pod.example.com", 2222)
KNOWN = [
    "[pod.example.com]:2222 ssh-ed25519 AAAA",
    "[db.example.com]:2222 ssh-ed25519 AAAA",
    "[pod.example.com]:2222 ssh-rsa BBBB",
]


def way(a_tunnel=None, method=Method.TOKEN, pod=POD, **others):
    fixed = {"known_hosts": KNOWN, "fingerprints": ["SHA256:abc", "SHA256:def"]}
    return Way(a_tunnel or tunnel(), "alice", method, pod, **{**fixed, **others})


def everything_of(one):
    """All texts and values of all tools."""
    for slug in TOOL_NAMES:
        for manner in tool_settings(slug, one, BOTH).manners:
            for text in manner.texts:
                yield slug, text.text
            for row in manner.rows:
                yield slug, row.value


class FileTests(SynchronousTestCase):
    def test_config_for_a_token_shares_its_one_session(self):
        self.assertEqual(
            files.config_block(way(tunnel("db", "fd00::5"), local_ports={5432: 15432})),
            "Host db.tunnel\n"
            "    HostName pod.example.com\n"
            "    Port 2222\n"
            "    User alice\n"
            "    PubkeyAuthentication no\n"
            "    BatchMode no\n"
            "    ControlMaster auto\n"
            "    ControlPath ~/.ssh/tunnel-%C\n"
            "    ControlPersist 10m\n"
            "    ExitOnForwardFailure yes\n"
            "    ServerAliveInterval 30\n"
            "    LocalForward 127.0.0.1:15432 [fd00::5]:5432",
        )

    def test_config_for_all_has_a_block_for_each_method(self):
        ways = [
            way(tunnel("db"), local_address="127.64.0.1"),
            way(tunnel("web"), Method.KEY, key_file="~/.ssh/tc", local_address="127.64.0.2"),
            way(tunnel("cache", external_address="db.example.com"), local_address="127.64.0.3"),
        ]
        by_token, by_key = files.all_blocks(ways)
        self.assertIn("Host all.tunnel\n    HostName pod.example.com\n", by_token)
        self.assertIn("Host all-keys.tunnel\n    HostName pod.example.com\n", by_key)
        for block, count in ((by_token, 2), (by_key, 1)):
            self.assertEqual(block.count("LocalForward 127.64.0."), count)
            self.assertIn("ExitOnForwardFailure no", block)
        self.assertTrue(files.all_blocks(ways[1:2])[0].startswith("Host all.tunnel\n"))
        self.assertEqual(files.all_blocks([]), [])

    def test_a_tunnel_called_all_keeps_its_name(self):
        [block] = files.all_blocks([way(tunnel("all"))])
        self.assertTrue(block.startswith("Host all-all.tunnel\n"), block)

    def test_no_control_sockets_on_windows_and_none_for_keys(self):
        block = files.config_block(way(), windows=True)
        self.assertEqual(re.findall("Control.*", block), ["ControlPath none"])
        block = files.config_block(way(method=Method.KEY, key_file="~/.ssh/tc"))
        self.assertEqual(re.findall("Control.*", block), ["ControlPath none"])
        self.assertIn("    IdentityFile ~/.ssh/tc\n    IdentitiesOnly yes\n", block)

    def test_plink_knows_the_host_and_leaves_the_agent_alone(self):
        words = files.plink_arguments(way(local_address="::1"))
        self.assertEqual(
            words,
            [
                "plink",
                "-ssh",
                "-N",
                "-P",
                "2222",
                "-l",
                "alice",
                "-noagent",
                "-hostkey",
                "SHA256:abc",
                "-hostkey",
                "SHA256:def",
                "-L",
                "[::1]:5432:10.0.0.5:5432",
                "pod.example.com",
            ],
        )

    def test_unattended_asks_nobody(self):
        one = way(method=Method.KEY)
        self.assertEqual(
            files.autossh_arguments(one)[:6], ["autossh", "-M", "0", "-o", "BatchMode=yes", "-i"]
        )
        self.assertIn("-i ~/.ssh/id_ed25519 -o IdentitiesOnly=yes", files.unit(one))
        self.assertIn("Restart=always", files.unit(one))

    def test_pgadmin(self):
        one = way(evolve(tunnel(), title='Pay "roll"\\'), Method.KEY, key_file="C:\\key")
        (server,) = json.loads(files.pgadmin_servers(one))["Servers"].values()
        self.assertEqual(server["Name"], 'Pay "roll"\\')
        self.assertEqual(
            (server["TunnelHost"], server["TunnelPort"], server["TunnelUsername"]),
            ("pod.example.com", "2222", "tcptunnel@db"),
        )
        self.assertEqual(server["TunnelIdentityFile"], "C:\\key")

    def test_known_hosts_are_those_of_the_name_that_is_connected_to(self):
        self.assertEqual(way().own_known_hosts, [KNOWN[0], KNOWN[2]])
        outside = tunnel(external_address="db.example.com")
        self.assertEqual(way(outside).own_known_hosts, [KNOWN[1]])
        at_22 = way(pod=PublicAddress("pod", 22), known_hosts=["pod ssh-rsa B", "pods ssh-rsa B"])
        self.assertEqual(at_22.own_known_hosts, ["pod ssh-rsa B"])
        two = way(pod=PublicAddress("pod", 22), known_hosts=["pod ssh-rsa B\n* ssh-rsa C"])
        self.assertEqual(two.own_known_hosts, [])


class LoginTests(SynchronousTestCase):
    def user(self, email):
        return User(id="u", name="alice", title="", created_at=NOW, email=email)

    def test_all_that_name_the_user(self):
        self.assertEqual(
            logins_of(self.user("o+neil@example.com"), tunnel()),
            ["alice", "o+neil@example.com", "tcptunnel@db"],
        )

    def test_what_no_shell_carries_is_left_out(self):
        for email in [
            None,
            "o'neil@x.org",
            '"a b"@x.org',
            "a%h@x.org",
            "-oProxyCommand=x@x.org",
            "a\\b@x.org",
        ]:
            self.assertEqual(logins_of(self.user(email), tunnel()), ["alice", "tcptunnel@db"])


class SuggestedPortTests(SynchronousTestCase):
    def test_tunnels_can_be_open_at_once(self):
        tunnels = [tunnel(f"db{number}") for number in range(5)]
        chosen = [suggested_ports(one, tunnels)[5432] for one in tunnels]
        self.assertEqual(chosen, [5432, 5433, 5434, 5435, 5436])

    def test_ranges_offsets_and_the_last_port(self):
        first = tunnel("a", ports=((8000, 8002),))
        second = tunnel("b", ports=((7000, 7001),), local_port_offset=1001)
        self.assertEqual(suggested_ports(second, [first]), {7000: 8003, 7001: 8004})
        ends = [tunnel(name, ports=((65535, 65535),)) for name in "cd"]
        self.assertEqual(suggested_ports(ends[1], ends), {65535: 1024})

    def test_ten_thousand_that_want_the_same(self):
        tunnels = [tunnel(f"t{number:05}") for number in range(10_000)]
        self.assertEqual(suggested_ports(tunnels[-1], tunnels), {5432: 15431})


class ToolTests(SynchronousTestCase):
    def test_order_and_names(self):
        for slug in TOOL_NAMES:
            tool = tool_settings(slug, way(), BOTH)
            self.assertEqual((tool.slug, tool.name), (slug, TOOL_NAMES[slug]))
            kinds = [manner.kind for manner in tool.manners]
            self.assertEqual(kinds, [kind for kind in Kind if kind in kinds])
            self.assertEqual(kinds[0], Kind.COMMAND if slug in PROGRAM_NAMES else Kind.KEY)
            for manner in tool.manners:
                self.assertTrue(manner.rows or manner.texts or manner.links)

    def test_what_a_tunnel_does_not_open_with_is_said(self):
        for slug in TOOL_NAMES:
            for methods in ([Method.TOKEN], [Method.KEY]):
                for manner in tool_settings(slug, way(), methods).manners:
                    fits = manner.kind is Kind.COMMAND or Method(manner.kind.value) in methods
                    self.assertEqual(bool(manner.missing), not fits)
                    self.assertEqual(bool(manner.rows or manner.texts or manner.links), fits)

    def test_tokens_in_tools_are_marked_as_one_connection(self):
        for slug in TOOL_NAMES:
            for manner in tool_settings(slug, way(), BOTH).manners:
                if manner.kind is Kind.TOKEN:
                    self.assertIn("one connection", manner.title)
                secrets = [row for row in manner.rows if row.secret]
                wanted = 1 if manner.kind is Kind.TOKEN and manner.rows else 0
                self.assertEqual(len(secrets), wanted)

    def test_tools_log_in_to_the_tunnel(self):
        for slug in set(TOOL_NAMES) - {"openssh", "ssh-config", "unattended"}:
            for manner in tool_settings(slug, way(), BOTH).manners:
                values = [row.value for row in manner.rows]
                self.assertEqual("tcptunnel@db" in values, manner.kind is not Kind.COMMAND)

    def test_programs_connect_to_the_local_port(self):
        one = way(tunnel(ports=((80, 80), (5432, 5432))), local_ports={80: 8080, 5432: 15432})
        (manner,) = tool_settings("psql", one, BOTH).manners
        self.assertEqual(
            [text.text for text in manner.texts],
            ["psql -h 127.0.0.1 -p 15432 -U USER DATABASE"],
        )
        self.assertEqual(manner.links, ("postgresql://127.0.0.1:15432/",))
        (manner,) = tool_settings("browser", evolve(one, local_address="::1"), BOTH).manners
        self.assertEqual(manner.links, ("http://[::1]:8080/",))
        (manner,) = tool_settings("redis-cli", one, BOTH).manners
        self.assertEqual([text.text for text in manner.texts], ["redis-cli -h 127.0.0.1 -p 8080"])

    def test_a_port_suggests_its_tools_and_the_last_one_first(self):
        usual = ["psql", "pgadmin", "dbeaver", "datagrip", "other"]
        self.assertEqual(suggested_tools(5432), usual)
        self.assertEqual(suggested_tools(1), ["other"])
        last = ["dbeaver", "psql", "pgadmin", "datagrip", "other"]
        self.assertEqual(suggested_tools(5432, "dbeaver"), last)
        self.assertEqual(suggested_tools(5432, "mysql"), ["mysql", *usual])
        for wrong in (*CLIENT_NAMES, "x"):
            self.assertEqual(suggested_tools(5432, wrong), usual)

    def test_what_each_tool_is_for(self):
        for port, names in {
            3306: ["mysql", "mysql-workbench", "dbeaver", "datagrip"],
            1433: ["sqlcmd", "ssms", "dbeaver", "datagrip"],
            6379: ["redis-cli", "redis-insight"],
            27017: ["mongosh", "dbeaver", "compass"],
            22: ["ssh", "vscode", "winscp"],
            3389: ["mstsc", "remmina"],
        }.items():
            self.assertEqual(suggested_tools(port), [*names, "other"], port)

    def test_tools_that_nobody_develops_say_so_and_come_last(self):
        self.assertEqual(list(CONNECTING_NAMES)[-2:], ["robo3t", "fastoredis"])
        for slug in ("robo3t", "fastoredis"):
            for manner in tool_settings(slug, way(), BOTH).manners:
                self.assertIn("is no longer developed", manner.note)

    def test_fields_are_those_of_a_release_that_is_named(self):
        for slug in CONNECTING_NAMES:
            tool = tool_settings(slug, way(), BOTH)
            if slug != "other" and any(manner.rows for manner in tool.manners):
                self.assertRegex(tool.version, r"^\d", slug)

    def test_tools_of_windows_have_its_paths(self):
        for slug in ("heidisql", "winscp", "putty"):
            values = [row.value for row in tool_settings(slug, way(), BOTH).manners[0].rows]
            self.assertIn("C:\\Users\\YOU\\.ssh\\id_ed25519.ppk", values)
        named = way(key_file="D:\\keys\\one")
        values = [row.value for row in tool_settings("winscp", named, BOTH).manners[0].rows]
        self.assertIn("D:\\keys\\one.ppk", values)

    def test_desktops_have_a_file(self):
        one = way(tunnel(ports=((3389, 3389),)), local_ports={3389: 13389})
        for slug, line in [
            ("mstsc", "full address:s:127.0.0.1:13389"),
            ("remmina", "server=127.0.0.1:13389"),
        ]:
            (manner,) = tool_settings(slug, one, BOTH).manners
            (file,) = [text for text in manner.texts if text.file_name]
            self.assertIn(line, file.text.splitlines())

    def test_management_studio_has_a_comma_before_the_port(self):
        one = way(tunnel(ports=((1433, 1433),)), local_ports={1433: 11433})
        (manner,) = tool_settings("ssms", one, BOTH).manners
        self.assertEqual(manner.rows[0].value, "127.0.0.1,11433")

    def test_ambiguous_targets_are_named_everywhere(self):
        one = way(tunnel("db"), others=[tunnel("other")])
        for slug, text in everything_of(one):
            self.assertNotIn("10.0.0.5", text, slug)

    def test_a_way_looks_at_the_other_tunnels_when_it_is_made(self):
        """A user may have thousands, and each forward of each text names the target."""
        looks = []

        class Others(list):
            def __iter__(self):
                looks.append("look")
                return super().__iter__()

        one = way(tunnel(ports=((8000, 8015),)), others=Others([tunnel("other")]))
        made = len(looks)
        list(everything_of(one))
        self.assertEqual(len(looks), made)
        self.assertLessEqual(made, 2)

    def test_nothing_turns_the_check_of_host_keys_off(self):
        for _, text in everything_of(way()):
            self.assertNotRegex(text, re.compile("stricthostkeychecking", re.IGNORECASE))

    def test_at_most_sixteen_of_a_range(self):
        wide = way(tunnel(ports=((8000, 8100), (9000, 9000))))
        for slug, text in everything_of(wide):
            forwards = len(re.findall(r"-L |LocalForward ", text))
            self.assertIn(forwards, (0, 17), slug)
        self.assertEqual(len(evolve(wide, method=Method.KEY).forwards), 17)

    def test_tokens_go_without_keys(self):
        for slug in ("openssh", "ssh-config"):
            for manner in tool_settings(slug, way(), BOTH).manners:
                for text in manner.texts:
                    if "HostName" in text.text or text.text.startswith("ssh "):
                        off = re.search(r"PubkeyAuthentication[= ]no", text.text)
                        self.assertEqual(bool(off), manner.kind is Kind.TOKEN, text)
