"""What a person may open, and the panel that says how."""

import gzip
import html
import re
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from attrs import evolve
from sqlalchemy import update

from tests.web.portal.browser import PortalTestCase
from tests.web.support import NOW
from tunnelcloud.domain.connecting.tools import CLIENT_NAMES, CONNECTING_NAMES
from tunnelcloud.domain.entities import SessionMethod
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.ssh.interfaces import DoctorStep
from tunnelcloud.store import (
    channels,
    pinned_tunnels,
    pods,
    schema,
    sessions,
    tokens,
    tunnels,
    user_views,
)
from tunnelcloud.web.interfaces import ConnectorHealth, Usage
from tunnelcloud.web.portal.pages import applications, making_keys, tunnel_choices, tunnel_page
from tunnelcloud.web.resources.tunnel_standing import own_standing

CHOSEN = ("tool", "client")
CANARY = '<img src=x onerror="alert(1)">'


class ApplicationsTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.tunnel = self.make_tunnel(
            "db", title=CANARY, description=CANARY, icon=CANARY, target_ports=["5432", "8000-8002"]
        )
        self.assign(self.tunnel)
        self.browser = self.signed_in(Role.USER)
        self.panel = f"/applications/{self.tunnel['id']}"

    def assign(self, tunnel, **fields):
        user = self.people[Role.USER]
        body = {"user_id": user.id, "methods": ["token", "key"], **fields}
        self.api("POST", f"/tunnels/{tunnel['id']}/assignments", body)

    def command(self, path):
        page = self.browser.get(path).body.decode()
        return html.unescape(re.search(r'<pre id="command">(.*?)</pre>', page, re.DOTALL)[1])

    def test_what_takes_a_look_at_all_ports_is_done_away_from_the_reactor(self):
        """Of 2,600 tunnels with twelve ports each, that took up to 450 ms."""
        threads = {}

        def noting(module, name):
            real = getattr(module, name)

            def noted(*args):
                threads.setdefault(name, set()).add(threading.get_ident())
                return real(*args)

            self.patch(module, name, noted)

        noting(tunnel_choices, "suggested_ports")
        noting(making_keys, "suggested_ports")
        noting(tunnel_page, "tool_settings")
        noting(applications, "own_standing")
        self.browser.get("/")
        self.browser.get(f"{self.panel}?client=putty")
        self.browser.send_on("/keys/new", {"kind": "openssh", "title": "new"})
        self.assertEqual(set(threads), {"own_standing", "suggested_ports", "tool_settings"})
        self.assertNotIn(threading.get_ident(), set().union(*threads.values()))

    def test_a_card_for_each_of_ones_own(self):
        other = self.make_tunnel("other")
        page = self.browser.get("/").body
        self.assertIn(self.panel.encode(), page)
        self.assertNotIn(other["id"].encode(), page)
        self.browser.get(f"/applications/{other['id']}", 404)

    def test_the_command_that_opens_all_of_them(self):
        self.assertNotIn(b"All of them", self.browser.get("/").body)
        self.assign(self.make_tunnel("other"))
        page = self.browser.get("/").body.decode()
        self.assertIn("All of them", page)
        self.assertIn("tunnelcloud --url https://portal.example.com connect --all</pre>", page)

    def test_names_show_as_text(self):
        for path in ["/", self.panel]:
            page = self.browser.get(path).body.decode()
            self.assertNotIn("<img src=x", page)
            self.assertIn(html.escape(CANARY, quote=False).split('"')[0], page)

    def test_search(self):
        self.assertIn(self.panel.encode(), self.browser.get("/?q=DB").body)
        answer = self.browser.get("/?q=%3Cb%3E")
        self.assertNotIn(self.panel.encode(), answer.body)
        self.assertIn("“&lt;b&gt;”".encode(), answer.body)

    def test_a_site_without_a_connector_is_said_to_be_offline(self):
        made = self.api(
            "POST", "/connectors", {"name": "paris-1", "site_id": self.tunnel["site_id"]}
        )
        for path in ["/", self.panel]:
            self.assertIn(
                "✕ No connector of site paris has joined yet".encode(), self.browser.get(path).body
            )
        self.live.health = {made["id"]: ConnectorHealth(1.0, 0, "1")}
        self.assertIn("● Ready".encode(), self.browser.get("/").body)
        self.assertNotIn(b"doesn't open now", self.browser.get(self.panel).body)
        self.live.health = {}
        self.assertNotIn("● Ready".encode(), self.browser.get("/").body)
        # Another pod has it, until this one knows better.
        self.seen(datetime.fromtimestamp(NOW - 20, UTC))
        self.assertIn("● Ready".encode(), self.browser.get("/").body)
        self.live.lost = {made["id"]: datetime.fromtimestamp(NOW - 19, UTC)}
        self.assertNotIn("● Ready".encode(), self.browser.get("/").body)

    def seen(self, at):
        self.store.write(
            lambda transaction: transaction.connection.execute(
                update(schema.connectors).values(last_seen_at=at)
            )
        )

    def test_since_when_a_site_is_offline(self):
        self.api("POST", "/connectors", {"name": "paris-1", "site_id": self.tunnel["site_id"]})
        long_ago = datetime(2026, 3, 2, 10, 42, tzinfo=UTC)
        self.seen(long_ago)
        for later, text in [(timedelta(hours=1), "10:42 UTC"), (timedelta(2), "2026-03-02 10:42")]:
            context = evolve(self.context, tell_time=lambda later=later: long_ago + later)
            tunnel = self.store.read(tunnels.get, self.tunnel["id"])
            view = self.store.read(user_views.load_view, self.people[Role.USER].id)
            offline = {tunnel.site_id: long_ago}
            standing = own_standing(context, view, tunnel, "192.0.2.1", offline)
            self.assertIn(f"Site offline since {text}", standing.text)
        self.assertIn("✕ Site offline since 2026-03-02".encode(), self.browser.get("/").body)

    def test_pinned_and_recently_used_come_first(self):
        made = [self.make_tunnel(name) for name in ("aa", "bb", "cc")]
        for tunnel in made:
            self.assign(tunnel)
        self.assertEqual(self.shown(), ["aa", "bb", "cc", "db"])
        self.use("cc")
        self.use("bb")
        self.assertEqual(self.shown(), ["bb", "cc", "aa", "db"])
        self.browser.send("/", action=f"/applications/{self.tunnel['id']}/pin")
        self.assertEqual(self.shown(), ["db", "bb", "cc", "aa"])
        self.browser.send("/", action=f"/applications/{self.tunnel['id']}/unpin")
        self.assertEqual(self.shown(), ["bb", "cc", "aa", "db"])

    def shown(self):
        page = self.browser.get("/").body.decode()
        return re.findall(r"<code>(\w+)</code>", page)

    def use(self, name):
        user = self.people[Role.USER]
        pod = self.store.write(
            pods.register,
            pods.Registration(
                name="pod-1", version="1", ssh_address="x:1", connectors_address="x:2"
            ),
        )
        session = self.store.write(
            sessions.start,
            user,
            SessionMethod.KEY,
            sessions.LoginRecord("x", "192.0.2.7", "x", pod.id),
        )
        tunnel = self.store.read(tunnels.find, name)
        self.store.write(channels.open, session, tunnel, destination=name, port=5432)

    def test_of_many_the_first_are_shown(self):
        self.patch(applications, "MOST_SHOWN", 2)
        for name in ("aa", "bb", "cc"):
            self.assign(self.make_tunnel(name))
        page = self.browser.get("/").body
        self.assertEqual(self.shown(), ["aa", "bb"])
        self.assertIn(b"2 more: search", page)

    def test_no_pin_for_what_is_not_ones_own(self):
        other = self.make_tunnel("other")
        proof = self.browser.get("/").body.decode().split('name="csrf" value="')[1][:64]
        answer = self.browser.ask("POST", f"/applications/{other['id']}/pin", {"csrf": proof})
        self.assertEqual(answer.status, 404)
        self.assertEqual(
            self.store.read(pinned_tunnels.pinned, self.people[Role.USER].id), frozenset()
        )

    def test_what_is_open_has_a_dot(self):
        self.assertNotIn(b"Open now", self.browser.get("/").body)
        self.live.used = Usage(1, {self.tunnel["id"]: 2})
        for path in ["/", self.panel]:
            self.assertIn(b"Open now", self.browser.get(path).body)

    def test_a_picture_for_each(self):
        for icon, sign in [("redis", b"m12 3 9 4"), ("", b"<ellipse"), ("Ω", "Ω</span>".encode())]:
            self.api("PATCH", f"/tunnels/{self.tunnel['id']}", {"icon": icon})
            self.assertIn(sign, self.browser.get(self.panel).body)

    def test_why_one_does_not_open(self):
        policy = self.api(
            "POST", "/policies", {"name": "once", "valid_until": "2020-01-01T00:00:00Z"}
        )
        tunnel = self.make_tunnel("late")
        self.assign(tunnel, policy_id=policy["id"])
        # Amber: that it doesn't open now is what the policy is for; nothing is broken.
        self.assertIn('<span class="warn">◔ Closed'.encode(), self.browser.get("/").body)
        self.assertIn(b"doesn't open now", self.browser.get(f"/applications/{tunnel['id']}").body)

    def test_the_command(self):
        self.assertEqual(
            self.command(self.panel),
            "ssh -N -o ExitOnForwardFailure=yes -o ServerAliveInterval=30 -o ControlPath=none "
            "-o PubkeyAuthentication=no -o BatchMode=no -L 127.0.0.1:5432:10.0.0.5:5432 "
            "-L 127.0.0.1:8000:10.0.0.5:8000 -L 127.0.0.1:8001:10.0.0.5:8001 "
            "-L 127.0.0.1:8002:10.0.0.5:8002 -p 2222 the-user@pod.example.com",
        )

    def test_the_edited_command(self):
        command = self.command(f"{self.panel}?method=key&local=::1&port_5432=8000&port_8000=5432")
        self.assertIn("'[::1]:8000:10.0.0.5:5432' -L '[::1]:5432:10.0.0.5:8000'", command)
        self.assertNotIn("PubkeyAuthentication", command)

    def test_what_cannot_be_edited_so(self):
        for query, text in [
            ("local=$(reboot)", b'id="local-error"'),
            ("port_5432=0", b"use a port from 1 to 65535"),
            ("port_5432=99999", b"use a port from 1 to 65535"),
            ("port_5432=8%20%3Breboot", b"use a port from 1 to 65535"),
            ("port_8000=5432", b"5432 is taken above"),
        ]:
            page = self.browser.get(f"{self.panel}?{query}", 422).body
            self.assertIn(text, page)
            self.assertNotIn(
                b"reboot", re.search(rb'<pre id="command">.*?</pre>', page, re.DOTALL)[0]
            )

    def test_nothing_of_a_link_becomes_a_line_of_a_file_or_a_command(self):
        """Python takes any text behind the percent sign of an IPv6 address."""
        for interface in ("x%0AProxyCommand%20reboot", "x%22", "x;reboot", "x%20reboot"):
            page = self.browser.get(f"{self.panel}?method=key&local=::1%25{interface}", 422).body
            for block in re.findall(rb"<pre.*?</pre>", page, re.DOTALL):
                self.assertNotIn(b"reboot", block)
        self.browser.get(f"{self.panel}?method=key&local=fe80::1%25eth0", 200)

    def test_a_port_of_many_digits(self):
        for typed in ("000001" + "1" * 5000, "0654321", "00000000001"):
            page = self.browser.get(f"{self.panel}?port_5432={typed}", 422).body
            self.assertIn(b"use a port from 1 to 65535", page)

    def test_privileged_ports_are_warned_of(self):
        self.assertIn(b"below 1024", self.browser.get(f"{self.panel}?port_5432=80").body)
        self.assertNotIn(b"below 1024", self.browser.get(self.panel).body)

    def test_a_token_is_made_when_asked_for_and_shown_once(self):
        self.browser.get(self.panel)
        self.assertEqual(self.store.read(tokens.list_page).items, ())
        action = f"{self.panel}/token"
        answer = self.browser.send_on(f"{self.panel}?port_5432=15432", action=action)
        self.assertRegex(answer.body.decode(), r'<pre id="token">[a-z2-7]{26}</pre>')
        self.assertIn(b"127.0.0.1:15432:", answer.body)
        self.assertIn(b'data-seconds="600"', answer.body)
        self.assertEqual(answer.headers["cache-control"], "no-store")
        (token,) = self.store.read(tokens.list_page).items
        self.assertEqual(token.user_id, self.people[Role.USER].id)
        self.assertNotIn(b'id="token"', self.browser.get(self.panel).body)

    def test_a_token_that_opens_nothing_now_says_why(self):
        said = b"The token opens nothing now: db: no connector of site paris has joined yet."
        answer = self.browser.send_on(self.panel, action=f"{self.panel}/token")
        self.assertIn(said, answer.body)
        connector = self.api(
            "POST", "/connectors", {"name": "c", "site_id": self.tunnel["site_id"]}
        )
        self.live.health = {connector["id"]: ConnectorHealth(1.0, 0, "1")}
        answer = self.browser.send_on(self.panel, action=f"{self.panel}/token")
        self.assertNotIn(b"opens nothing now", answer.body)

    def test_a_token_for_several_sessions_where_the_policy_allows_it(self):
        self.assertNotIn(b'name="sessions"', self.browser.get(self.panel).body)
        policy = self.api("POST", "/policies", {"name": "several", "max_token_sessions": 3})
        several = self.make_tunnel("several")
        self.assign(several, policy_id=policy["id"])
        panel = f"/applications/{several['id']}"
        for asked, made in [("3", 3), ("x", 1), ("999", 1)]:
            answer = self.browser.send_on(panel, {"sessions": asked}, action=f"{panel}/token")
            self.assertIn(b'id="token"', answer.body)
            self.assertEqual(self.store.read(tokens.list_page).items[-1].sessions, made)
        self.browser.send(panel, {"sessions": "4"}, action=f"{panel}/token", status=409)

    def test_every_tool_has_its_tab(self):
        for slug, name in {**CLIENT_NAMES, **CONNECTING_NAMES}.items():
            page = self.browser.get(f"{self.panel}?tool={slug}&port_5432=7777").body.decode()
            self.assertIn(f'<section class="tool" aria-label="{name}">', page)
            self.assertIn("port_5432=7777", page)
            self.assertIn("Download pgadmin-db.json" if slug == "pgadmin" else name, page)
        browser = self.signed_in(Role.USER)
        self.assertIn(b'aria-label="psql"', browser.get(f"{self.panel}?tool=none").body)

    def shown_tools(self, browser, path):
        """Give the tool that is chosen, and what opens the tunnel for it."""
        page = browser.get(path).body.decode()
        return tuple(re.search(f'name="{name}" value="(.*?)"', page)[1] for name in CHOSEN)

    def test_the_tools_used_last_come_first(self):
        browser = self.signed_in(Role.USER)
        self.assertEqual(self.shown_tools(browser, self.panel), ("psql", ""))
        browser.get(f"{self.panel}?tool=dbeaver")
        self.assertEqual(self.shown_tools(browser, self.panel), ("dbeaver", ""))
        browser.get(f"{self.panel}?client=putty")
        self.assertEqual(self.shown_tools(browser, self.panel), ("dbeaver", "putty"))
        browser.get(f"{self.panel}?client=")
        self.assertEqual(self.shown_tools(browser, self.panel), ("dbeaver", ""))
        redis = self.make_tunnel("cache", target_ports=["6379"])
        self.assign(redis)
        path = f"/applications/{redis['id']}"
        self.assertEqual(self.shown_tools(browser, path), ("redis-cli", ""))
        # What a browser keeps is read as carefully as an address.
        browser.cookies["__Host-tunnelcloud-tools"] = "<b>_5432.x_5432.pgadmin_99999999.psql_"
        self.assertEqual(self.shown_tools(browser, self.panel), ("pgadmin", ""))

    def test_three_steps(self):
        page = self.browser.get(self.panel).body.decode()
        for first, then in pairwise(("Get a token", "Copy the command", "Connect</h2>")):
            self.assertLess(page.index(first), page.index(then))
        self.assertIn("psql -h 127.0.0.1 -p 5432 -U USER DATABASE", page)
        self.assertNotIn('<details class="fold" id="options" open', page)
        with_key = self.browser.get(f"{self.panel}?method=key").body.decode()
        self.assertIn("Use your key</h2>", with_key)
        self.assertNotIn("one-time token</button>", with_key)
        faulty = self.browser.get(f"{self.panel}?port_5432=0", 422).body.decode()
        self.assertIn('<details class="fold" id="options" open', faulty)

    def test_only_the_chosen_methods_settings_are_shown(self):
        for method, other in [("key", "token"), ("token", "key")]:
            page = self.browser.get(f"{self.panel}?tool=pgadmin&method={method}").body.decode()
            self.assertIn(f'data-manner="{method}"', page)
            self.assertIn('data-manner="command"', page)
            self.assertNotIn(f'data-manner="{other}"', page)

    def test_the_line_that_says_whether_one_is_connected(self):
        line = f"{self.panel}/connection"
        self.assertIn(b"Not connected yet", self.browser.get(self.panel).body)
        self.use("db")
        for path in (line, self.panel):
            self.assertIn(b"Connected from 192.0.2.7, 1 channel.", self.browser.get(path).body)
        self.assertIn(b"Not connected yet", self.browser.get(self.other_line()).body)

    def other_line(self):
        other = self.make_tunnel("other")
        self.assign(other)
        self.browser.get(f"/applications/{self.make_tunnel('theirs')['id']}/connection", 404)
        return f"/applications/{other['id']}/connection"

    def test_the_token_stands_in_the_tool_too(self):
        panel = f"{self.panel}?tool=pgadmin"
        self.assertIn(b"the one-time token of step 1", self.browser.get(panel).body)
        answer = self.browser.send_on(panel, action=f"{self.panel}/token")
        token = re.search(r'<pre id="token">(.*?)</pre>', answer.body.decode())[1]
        self.assertIn(f'<code id="row-own-6">{token}</code>', answer.body.decode())

    def test_windows_gets_its_own_quoting(self):
        query = f"{self.panel}?local=::1"
        self.assertIn(b"-L &#39;[::1]:5432:", self.browser.get(query).body)
        headers = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"}
        answer = self.browser.ask("GET", f"{query}&login=tcptunnel@db", headers=headers)
        self.assertIn(b"tcptunnel@db@pod.example.com</pre>", answer.body)

    def test_the_path_is_checked(self):
        self.live.steps = [DoctorStep("connector", True, 1.25, "site paris answers")]
        answer = self.browser.send_on(self.panel, action=f"{self.panel}/check#path")
        for text in ["✓ method", "✓ connector", "site paris answers", "1.2 ms"]:
            self.assertIn(text, answer.body.decode())
        self.api("PATCH", f"/tunnels/{self.tunnel['id']}", {"enabled": False})
        answer = self.browser.send_on(self.panel, action=f"{self.panel}/check#path")
        self.assertIn("✕ enabled", answer.body.decode())
        self.assertNotIn("site paris answers", answer.body.decode())

    def test_key_files(self):
        command = self.command(f"{self.panel}?method=key&key_file=~/my%20key")
        self.assertIn("-i '~/my key' -o IdentitiesOnly=yes", command)
        for wrong in ["-oProxyCommand%3Dx", "a%22b", "a%0ab", "x" * 201]:
            page = self.browser.get(f"{self.panel}?method=key&key_file={wrong}", 422).body.decode()
            self.assertIn('id="key_file-error"', page)

    def test_no_token_without_the_proof(self):
        answer = self.browser.ask("POST", f"{self.panel}/token", {"csrf": "0" * 64})
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.store.read(tokens.list_page).items, ())

    def test_without_any_it_says_what_to_do(self):
        page = self.signed_in(Role.AUDITOR).get("/").body
        self.assertIn(b"No tunnel is assigned to you yet", page)

    def test_files_of_the_pages_are_there(self):
        page = self.browser.get("/").body.decode()
        addresses = re.findall(r'(?:href|src)="(/static/[^"]+)"', page)
        self.assertGreater(len(addresses), 10)
        for address in addresses:
            answer = self.browser.get(address)
            self.assertIn("immutable", answer.headers["cache-control"])
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
        for accepted, packed in [("br, gzip", True), ("gzip;q=0", False), ("identity", False)]:
            headers = {"Accept-Encoding": accepted}
            answer = self.browser.ask("GET", addresses[0], headers=headers)
            self.assertEqual(answer.headers.get("content-encoding") == "gzip", packed)
            content = gzip.decompress(answer.body) if packed else answer.body
            self.assertEqual(content, self.browser.get(addresses[0]).body)
        for missing in ["/static/", "/static/../templates/base.html", "/static/%2e%2e"]:
            self.browser.get(missing, 404)

    def test_no_page_has_script_or_style_of_its_own(self):
        for path in ["/", self.panel, "/sign-in?next=/"]:
            page = self.browser.ask("GET", path).body.decode()
            self.assertNotRegex(page, r"<style|\sstyle=|\son[a-z]+=\"|https?://")
            self.assertNotRegex(page, r"<script(?![^>]*\ssrc=)")
