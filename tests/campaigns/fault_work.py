"""The work that goes on while a campaign breaks things, and what was acknowledged of it."""

import asyncio
import itertools
import time
import urllib.error

import asyncssh
from attrs import Factory, define

from tests.campaigns.coded_bytes import Reader, coded
from tests.campaigns.ssh_streams import open_stream

PIECE = 200
VISIT = 150_000
PATIENCE = 45
REFUSED = (OSError, asyncssh.Error, TimeoutError, asyncio.TimeoutError)


@define(eq=False)
class Login:
    """A login that a pod acknowledged.

    :ivar name: what the client calls itself; no other login does.
    :ivar ended_at: when its connection was over, by the clock of this process.
    :ivar is_own_end: the client ended it.
    """

    name: str
    user: str
    pod: int
    at: float
    ended_at: float | None = None
    is_own_end: bool = False


@define
class End:
    """A stream that ended without its client's doing."""

    login: Login
    at: float
    with_session: bool


@define
class Books:
    """What the work saw.

    :ivar groups: ids of acknowledged groups.
    :ivar denied: names of groups of which an answer said that nothing was changed.
    :ivar tokens: how many logins each token's id gave, as clients saw it.
    :ivar faults: what must never be; each ends the campaign's round as failed.
    :ivar refusals: reasons that clients were told, with how often.
    """

    logins: dict[str, Login] = Factory(dict)
    ends: list[End] = Factory(list)
    groups: dict[str, str] = Factory(dict)
    denied: list[str] = Factory(list)
    tokens: dict[str, int] = Factory(dict)
    unsure: set[str] = Factory(set)
    faults: list[str] = Factory(list)
    refusals: dict[str, int] = Factory(dict)
    counts: dict[str, int] = Factory(dict)

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    def refused(self, error):
        reason = str(error) or type(error).__name__
        self.refusals[reason[:160]] = self.refusals.get(reason[:160], 0) + 1


class Work:
    """All that goes on at a site.

    :ivar holders: streams that stay; those of the last user are cut by revocations.
    :ivar calm: set while nothing is broken.
    """

    def __init__(self, site, books):
        self.site = site
        self.books = books
        self.calm = asyncio.Event()
        self.is_over = False
        self._numbers = itertools.count(1)
        *steady, self.revoked = site.users
        self.holders = [
            Holder(self, user, number % len(site.pods)) for number, user in enumerate(steady)
        ]
        self.victims = [Holder(self, self.revoked, pod) for pod in range(len(site.pods))]
        self.tasks = []

    def start(self):
        loops = [holder.run() for holder in (*self.holders, *self.victims)]
        for pod in range(len(self.site.pods)):
            loops += [self.visit(pod), self.write(pod)]
        loops += [self.race(), self.revoke()]
        self.tasks = [asyncio.create_task(loop) for loop in loops]

    async def stop(self):
        self.is_over = True
        pending = set(self.tasks)
        while pending:
            # Before Python 3.12 ``wait_for`` forgets a cancellation that comes as it is done.
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=1)

    def failed(self):
        """Give the first error of a loop that has ended, which none should."""
        ended = [task for task in self.tasks if task.done() and not task.cancelled()]
        return next((task.exception() for task in ended if task.exception()), None)

    async def ask(self, pod, method, path, body=None):
        return await asyncio.to_thread(self.site.api, pod, method, path, body)

    async def log_in(self, user, pod, **how):
        """Log in; give the connection and what is known of the login."""
        name = f"campaign_{next(self._numbers)}"
        how = how or {"client_keys": [user[2]]}
        connecting = asyncssh.connect(
            "127.0.0.1",
            self.site.pods[pod].ssh_port,
            username=user[0],
            client_version=name,
            known_hosts=None,
            config=[],
            agent_path=None,
            login_timeout=PATIENCE,
            **how,
        )
        connection = await asyncio.wait_for(connecting, PATIENCE)
        login = self.books.logins[name] = Login(name, user[0], pod, time.monotonic())
        watch = asyncio.create_task(connection.wait_closed())
        watch.add_done_callback(lambda _: setattr(login, "ended_at", time.monotonic()))
        self.books.count("logins")
        return connection, login

    async def leave(self, connection, login):
        login.is_own_end = True
        connection.close()
        try:
            await asyncio.wait_for(connection.wait_closed(), 10)
        except REFUSED:
            connection.abort()

    async def visit(self, pod):
        """Send so much and EOF, and want it all back: with EOF it is whole."""
        for number in itertools.count():
            await asyncio.sleep(1)
            user = self.site.users[number % (len(self.site.users) - 1)]
            try:
                connection, login = await self.log_in(user, pod)
            except REFUSED as error:
                self.books.refused(error)
                continue
            try:
                await asyncio.wait_for(self.whole(connection, number), PATIENCE)
            except REFUSED as error:
                self.books.refused(error)
            await self.leave(connection, login)

    async def whole(self, connection, number):
        reader = Reader(number)
        stream = await open_stream(connection, "echo", self.site.port, reader.take)
        for start in range(0, VISIT, 10_000):
            await stream.writable.wait()
            if stream.closed.is_set():
                break
            stream.channel.write(coded(number, start, 10_000))
        if not stream.closed.is_set():
            stream.channel.write_eof()
        await stream.closed.wait()
        self.books.count("visits")
        if reader.wrong or (stream.eof and reader.received < VISIT):
            what = f"EOF after {reader.received} of {VISIT}, wrong: {reader.wrong}"
            self.books.faults.append(f"a stream was cut short and said to be whole: {what}")

    async def write(self, pod):
        """Make groups; note which were acknowledged, and of which it was said they weren't made."""
        for number in itertools.count(1):
            await asyncio.sleep(0.4)
            name = f"group-{pod}-{number}"
            try:
                made = await self.ask(pod, "POST", "/groups", {"name": name})
            except urllib.error.HTTPError as error:
                text = error.read().decode(errors="replace")
                self.books.refused(f"API {error.code} {text[:140]}")
                if "nothing was changed" in text:
                    self.books.denied.append(name)
            except OSError:
                self.books.count("unanswered writes")
            else:
                self.books.groups[made["id"]] = name
                self.books.count("writes")

    async def race(self):
        """Have a token raced for on all pods."""
        for number in itertools.count():
            await asyncio.sleep(0.7)
            user = self.site.users[number % (len(self.site.users) - 1)]
            wanted = {"user_id": user[1], "tunnel_id": self.site.tunnels["echo"]}
            calm = self.calm.is_set()
            try:
                made = await self.ask(number % len(self.site.pods), "POST", "/tokens", wanted)
            except OSError:
                continue
            racers = [self.spend(user, pod % len(self.site.pods), made) for pod in range(3)]
            won = sum(await asyncio.gather(*racers))
            self.books.tokens[made["id"]] = won
            self.books.count("tokens")
            if won > 1 or (not won and calm and self.calm.is_set()):
                self.books.faults.append(f"a token gave {won} sessions (calm: {calm})")

    async def spend(self, user, pod, made):
        how = {"password": made["token"], "client_keys": None, "preferred_auth": "password"}
        try:
            connection, login = await self.log_in(user, pod, **how)
        except REFUSED as error:
            if not isinstance(error, asyncssh.PermissionDenied):
                self.books.unsure.add(made["id"])
                self.books.refused(error)
            return False
        await self.leave(connection, login)
        return True

    async def revoke(self):
        """Take a tunnel from a user and give it back; what is taken away ends."""
        user, tunnel = self.revoked, self.site.tunnels["echo"]
        while True:
            await asyncio.sleep(4)
            path = await self.until_done(self.current_assignment, user[1], tunnel)
            for victim in self.victims:
                victim.is_entitled = False
            await self.until_done(self.site.api, len(self.site.pods) - 1, "DELETE", path)
            revoked = time.monotonic()
            self.books.count("revocations")
            while any(victim.is_open for victim in self.victims):
                if self.calm.is_set() and time.monotonic() - max(revoked, self.calm_since) > 20:
                    self.books.faults.append("what was revoked is open 20 s later, in calm")
                    break
                await asyncio.sleep(0.2)
            await self.until_done(self.site.assign, 0, tunnel, user[1])
            for victim in self.victims:
                victim.is_entitled = True

    @property
    def calm_since(self):
        return self._calm_since if self.calm.is_set() else time.monotonic()

    def be_calm(self):
        self._calm_since = time.monotonic()
        self.calm.set()

    def current_assignment(self, user, tunnel):
        path = f"/tunnels/{tunnel}/assignments"
        given = self.site.api(0, "GET", f"{path}?limit=200")["items"]
        return f"{path}/{next(one['id'] for one in given if one.get('user_id') == user)}"

    async def until_done(self, function, *arguments):
        """Do something until it is acknowledged, or turns out to be done."""
        while True:
            try:
                return await asyncio.to_thread(function, *arguments)
            except urllib.error.HTTPError as error:
                if error.code in (404, 409):
                    return None
            except (OSError, StopIteration):
                pass
            await asyncio.sleep(0.5)


class Holder:
    """A client that has one stream open all the time, and says something by it now and then."""

    def __init__(self, work, user, pod):
        self.work = work
        self.user = user
        self.pod = pod
        self.is_entitled = True
        self.is_open = False
        self.sent = self.heard = 0
        self.login = None

    async def run(self):
        while True:
            await asyncio.sleep(0.5)
            if not self.is_entitled:
                continue
            try:
                connection, login = await self.work.log_in(self.user, self.pod)
            except REFUSED as error:
                self.work.books.refused(error)
                continue
            try:
                await self.hold(connection, login)
            except REFUSED as error:
                self.work.books.refused(error)
            await self.work.leave(connection, login)

    async def hold(self, connection, login):
        reader = Reader(1)
        self.sent = self.heard = 0

        def take(data):
            reader.take(data)
            self.heard = reader.received

        opening = open_stream(connection, "echo", self.work.site.port, take)
        stream = await asyncio.wait_for(opening, PATIENCE)
        self.is_open, self.login = True, login
        try:
            while not stream.closed.is_set():
                stream.channel.write(coded(1, self.sent, PIECE))
                self.sent += PIECE
                try:
                    await asyncio.wait_for(stream.closed.wait(), 0.4)
                except TimeoutError:
                    continue
        finally:
            self.is_open = False
        was_entitled = self.is_entitled
        await asyncio.sleep(0.3)  # a session's end comes by another way
        if was_entitled and not self.work.is_over:
            end = End(login, time.monotonic(), login.ended_at is not None)
            self.work.books.ends.append(end)
        if reader.wrong:
            self.work.books.faults.append(f"{login.name}: a wrong byte")
