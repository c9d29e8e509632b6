"""Pages keep themselves fresh by one stream each: what it brings, and when it ends."""

import queue

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.web.portal.browser import PortalTestCase
from tunnelcloud.domain.entities import Method
from tunnelcloud.domain.objects.users import Role
from tunnelcloud.store import pods, sessions, users, web_sessions
from tunnelcloud.store.transaction import Change, Resync
from tunnelcloud.web.portal import live_hub
from tunnelcloud.web.portal.live_streams import UNREAD_SECONDS
from tunnelcloud.web.portal.refreshed_parts import cut_parts
from tunnelcloud.web.portal.rendering import Renderer

SESSIONS = "/admin/sessions"


class Watcher:
    """A browser's stream."""

    def __init__(self, case, browser, *addresses, headers=()):
        self.transport = StringTransport()
        self.channel = case.site.buildProtocol(None)
        self.channel.makeConnection(self.transport)
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        query = "&".join(f"address={one.replace('?', '%3F')}" for one in addresses)
        lines = [f"GET /live?{query} HTTP/1.1", "Host: portal.example.com", f"Cookie: {cookies}"]
        lines += [f"{name}: {value}" for name, value in dict(headers).items()]
        case.clock.advance(0)
        self.channel.dataReceived("\r\n".join([*lines, "", ""]).encode())

    @property
    def text(self):
        return self.transport.value().decode()

    @property
    def status(self):
        return int(self.text.split(" ")[1])

    @property
    def count(self):
        return self.text.count("event: parts")

    @property
    def end(self):
        return self.text.partition("event: end\ndata: ")[2].partition("\n")[0]


class SlowStore:
    """Keeps back what the checks of sign-ins read; everything else is as it was."""

    def __init__(self, store):
        self._store = store
        self.waiting = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    def read(self, function, *args):
        if function is not web_sessions.roles_of:
            return self._store.read(function, *args)
        result, answer = Deferred(), self._store.read(function, *args)
        self.waiting.append(lambda: answer.chainDeferred(result))
        return result


class LiveTests(PortalTestCase):
    def setUp(self):
        super().setUp()
        self.browser = self.signed_in(Role.ADMIN)
        self.rendered = []
        render = Renderer.render

        def counted(renderer, template, values, now):
            self.rendered.append(template)
            return render(renderer, template, values, now)

        self.patch(Renderer, "render", counted)

    def turn(self, seconds=0):
        """Let time pass, and take what other threads have done meanwhile."""
        self.clock.advance(seconds)
        try:
            function, args = self.reactor._calls.get(timeout=0.005)
        except queue.Empty:
            return
        function(*args)

    def until(self, holds):
        for _ in range(6000):
            if holds():
                return
            self.turn(0.05)
        self.fail("it never held")

    def pass_time(self, seconds, step=0.5):
        """Let time pass, a little at a time, as it does."""
        for _ in range(round(seconds / step)):
            self.turn(step)
        for _ in range(5):
            self.turn()

    def watch(self, *addresses, browser=None, **more):
        watcher = Watcher(self, browser or self.browser, *addresses, **more)
        self.until(lambda: watcher.count or watcher.end or "HTTP/1.1 4" in watcher.text)
        return watcher

    def begin_session(self):
        pod = self.store.write(
            pods.register,
            pods.Registration(name="p", version="1", ssh_address="x:1", connectors_address="x:2"),
        )
        login = sessions.LoginRecord("x", "192.0.2.77", "c", pod.id)
        return self.store.write(sessions.start, self.people[Role.USER], Method.KEY, login)

    def test_it_brings_what_changed_and_nothing_else(self):
        watcher = self.watch(SESSIONS)
        self.assertEqual(watcher.status, 200)
        self.assertIn("Content-Type: text/event-stream", watcher.text)
        self.assertIn("X-Accel-Buffering: no", watcher.text)
        self.assertIn("no-transform", watcher.text)
        self.assertNotIn("Content-Encoding", watcher.text)
        self.assertIn("Nobody is connected now", watcher.text)
        self.assertNotIn("csrf", watcher.text)
        self.pass_time(10)
        self.assertEqual(watcher.count, 1)
        self.begin_session()
        self.pass_time(2.5)
        self.until(lambda: watcher.count == 2)
        self.assertIn("192.0.2.77", watcher.text)
        self.pass_time(10)
        self.assertEqual(watcher.count, 2, "only the time has passed")

    def test_several_parts_of_a_page(self):
        site = self.make_site()
        connector = self.api("POST", "/connectors", {"name": "c", "site_id": site["id"]})
        path = f"/admin/connectors/{connector['id']}"
        watcher = self.watch(path, f"{path}/state")
        self.until(lambda: watcher.count == 2)
        self.assertIn('id="health"', watcher.text)
        self.assertIn('id="state"', watcher.text)

    def test_many_who_watch_the_same_cost_one_look(self):
        other = self.signed_in(Role.ADMIN)
        watchers = [self.watch(SESSIONS, browser=one) for one in (self.browser, other) * 2]
        self.assertEqual([one.count for one in watchers], [1] * 4)
        self.rendered.clear()
        self.begin_session()
        self.pass_time(2.5)
        self.until(lambda: all(one.count == 2 for one in watchers))
        self.assertLessEqual(len(self.rendered), 2)
        # Another role has other rights: it has a look of its own, without what admins may press.
        auditor = self.watch(SESSIONS, browser=self.signed_in(Role.AUDITOR))
        self.assertIn("/end", watchers[0].text)
        self.assertNotIn("/end", auditor.text)

    def test_what_a_page_does_not_read_makes_no_other_page(self):
        watchers = [self.watch(f"/sessions?x={n}", f"/sessions?x=1{n}") for n in range(4)]
        self.assertEqual([one.count for one in watchers], [1] * 4)
        self.rendered.clear()
        self.pass_time(2)
        self.assertLessEqual(len(self.rendered), 4)
        live, over = self.watch(SESSIONS), self.watch(f"{SESSIONS}?live=false")
        self.assertIn("Nobody is connected now", live.text)
        self.assertNotIn("Nobody is connected now", over.text)

    def test_users_take_turns(self):
        greedy, modest = self.signed_in(Role.AUDITOR), self.signed_in(Role.USER)
        self.watch(SESSIONS, browser=modest)  # the hub is made
        [hub] = [one.__self__ for one in self.context.listeners if one.__name__ == "heard"]
        looks = []

        async def page(watched):
            looks.append((watched.key[0], Deferred()))
            return await looks[-1][1]

        self.patch(hub, "_page", page)
        for n in range(4):
            addresses = [f"{SESSIONS}?q={n}{m}" for m in range(4)]
            Watcher(self, greedy, *addresses)
        self.until(lambda: looks)
        Watcher(self, modest, "/sessions")
        for _ in range(20):
            self.turn(0.05)
        # One of each user's at a time.
        self.assertEqual(len(looks), 2)
        self.assertEqual(looks[1][0], "/sessions")
        for n in range(8):
            looks[n][1].callback(cut_parts(b""))
            self.turn(1)  # nobody looks for a while after a long look
        self.assertEqual(len({address for address, _ in looks[2:8]}), 6)

    def test_what_is_ones_own_is_shared_with_nobody(self):
        other = self.signed_in(Role.USER)
        self.begin_session()
        mine, others = self.watch("/sessions"), self.watch("/sessions", browser=other)
        self.assertNotIn("192.0.2.77", mine.text)
        self.assertIn("192.0.2.77", others.text)

    def test_the_change_feed_wakes_it_at_once(self):
        watcher = self.watch("/requests")
        self.rendered.clear()
        self.clock.advance(0.6)
        self.context.tell(Change("request", "req_1"))
        self.context.tell(Change("request", "req_2"))
        self.until(lambda: self.rendered == ["requests.html"])
        self.context.tell(Change("tunnel", "tun_1"))
        self.context.tell(Resync())
        self.turn(0.6)
        self.until(lambda: len(self.rendered) == 2)
        self.assertEqual(watcher.count, 1)

    def test_it_ends_when_the_sign_in_does(self):
        signs_out, demoted, blocked, stays = (
            self.signed_in(role) for role in (Role.USER, Role.AUDITOR, Role.USER, Role.ADMIN)
        )
        watchers = [self.watch("/sessions", browser=one)
                    for one in (signs_out, demoted, stays)]  # fmt: skip
        signs_out.send("/", action="/sign-out")
        self.store.write(users.update, self.people[Role.AUDITOR].id, {"role": Role.USER})
        self.pass_time(4)
        self.until(lambda: watchers[0].end and watchers[1].end)
        self.assertEqual([one.end for one in watchers], ["reload", "reload", ""])
        last = self.watch("/sessions", browser=blocked)
        self.store.write(users.update, self.people[Role.USER].id, {"blocked": True})
        self.pass_time(4)
        self.until(lambda: last.end == "reload")

    def slow_checks(self):
        """Have the checks of sign-ins wait until they are let go."""
        [hub] = [one.__self__ for one in self.context.listeners if one.__name__ == "heard"]
        rights = self.rights = hub._rights
        store = SlowStore(rights._context.store)
        self.patch(rights, "_context", evolve(rights._context, store=store))
        return store.waiting

    def let_go(self, checks):
        """Let the check that waits end, and take what it says."""
        self.until(lambda: checks)
        checks.pop()()
        self.until(lambda: not self.rights._checking or checks)

    def test_a_stream_that_is_opened_during_a_check_stays(self):
        checks = self.slow_checks()
        first = self.watch(SESSIONS)
        self.until(lambda: checks)
        late = self.watch(SESSIONS, browser=self.signed_in(Role.AUDITOR))
        self.let_go(checks)
        self.pass_time(1)
        self.assertEqual((first.end, late.end), ("", ""))

    def test_a_slow_check_is_the_only_one(self):
        checks = self.slow_checks()
        watcher = self.watch(SESSIONS, browser=self.signed_in(Role.AUDITOR))
        self.pass_time(10)
        self.assertEqual(len(checks), 1)
        # What is heard meanwhile is looked up once more.
        self.store.write(users.update, self.people[Role.AUDITOR].id, {"role": Role.USER})
        self.context.tell(Change("user", self.people[Role.AUDITOR].id))
        self.pass_time(1)
        self.assertEqual(len(checks), 1)
        checks.pop()()
        self.let_go(checks)
        self.until(lambda: watcher.end == "reload")

    def test_a_change_of_a_user_is_checked_at_once(self):
        checks = self.slow_checks()
        self.watch(SESSIONS)
        self.let_go(checks)
        self.assertEqual(checks, [])
        self.context.tell(Change("user", self.people[Role.ADMIN].id))
        self.clock.advance(0)
        self.assertEqual(len(checks), 1)

    def test_a_sign_out_is_noticed_within_a_second(self):
        checks = self.slow_checks()
        self.watch(SESSIONS)
        for _ in range(3):
            self.let_go(checks)
            began = self.clock.seconds()
            self.until(lambda: checks)
            self.assertLess(self.clock.seconds() - began, 1)

    def test_a_page_that_is_gone(self):
        site = self.make_site()
        connector = self.api("POST", "/connectors", {"name": "c", "site_id": site["id"]})
        watcher = self.watch(f"/admin/connectors/{connector['id']}")
        self.assertEqual(watcher.end, "")
        self.api("DELETE", f"/connectors/{connector['id']}")
        self.until(lambda: watcher.end == "reload")

    def test_who_has_too_many_loses_the_oldest(self):
        watchers = [self.watch(SESSIONS) for _ in range(live_hub.MOST_OF_A_USER + 1)]
        self.assertEqual([one.end for one in watchers], ["crowded", "", "", "", ""])
        self.patch(live_hub, "MOST_STREAMS", live_hub.MOST_OF_A_USER)
        self.assertEqual(self.watch(SESSIONS, browser=self.signed_in(Role.AUDITOR)).end, "crowded")
        # Whoever has streams may have a newer one in an older one's place.
        newest = self.watch(SESSIONS)
        self.assertEqual([one.end for one in (*watchers, newest)], ["crowded"] * 2 + [""] * 4)

    def test_who_does_not_read_is_dropped(self):
        reads, late, deaf = (self.watch(SESSIONS) for _ in range(3))
        for one in (late, deaf):
            one.channel.pauseProducing()
        self.begin_session()
        self.pass_time(3)
        self.until(lambda: reads.count == 2)
        self.assertEqual((late.count, deaf.count), (1, 1))
        late.channel.resumeProducing()
        self.assertEqual(late.count, 2)
        self.pass_time(UNREAD_SECONDS)
        self.assertEqual([one.transport.disconnected for one in (reads, late, deaf)],
                         [False, False, True])  # fmt: skip

    def test_it_says_that_it_is_there(self):
        watcher = self.watch(SESSIONS)
        self.pass_time(26)
        self.assertEqual(watcher.text.count(": still here"), 1)

    def test_who_left_costs_nothing(self):
        watcher = self.watch(SESSIONS)
        watcher.channel.connectionLost(Failure(ConnectionDone()))
        self.pass_time(1)
        self.rendered.clear()
        self.pass_time(10)
        self.assertEqual(self.rendered, [])

    def test_who_comes_back_is_told_only_what_is_new(self):
        first = self.watch(SESSIONS)
        seen = first.text.partition("\nid: ")[2].partition("\n")[0]
        again = Watcher(self, self.browser, SESSIONS, headers={"Last-Event-ID": seen})
        self.pass_time(5)
        self.assertEqual((again.status, again.count), (200, 0))

    def test_what_cannot_be_watched(self):
        user = self.signed_in(Role.USER)
        for browser, addresses, status in [
            (user, [SESSIONS], 403),
            (self.browser, ["/nowhere"], 404),
            (self.browser, ["/sign-in"], 403),
            (self.browser, [f"/{n}" for n in range(9)], 400),
            (self.browser, ["/" + "a" * 3000], 400),
        ]:
            watcher = self.watch(*addresses, browser=browser)
            self.assertEqual(watcher.status, status)
