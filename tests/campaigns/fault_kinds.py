"""The faults of a campaign: each breaks something, waits, mends it, and says what it explains."""

import asyncio
import os
import signal
import time

import asyncssh
import psycopg

from tests.campaigns.fault_oracle import NOBODY, Blame
from tests.campaigns.fault_points import FUNCTIONS, MOMENTS, Armed
from tests.campaigns.fault_site import (
    DATABASE_ADDRESSES,
    DOMAIN,
    LINK_ADDRESSES,
    REPLICATION,
    silence,
)
from tests.campaigns.fault_work import REFUSED
from tests.campaigns.ssh_streams import open_stream

HOUR, DAY = 3600, 86_400
AT_ONCE = 10


async def in_thread(function, *arguments):
    return await asyncio.to_thread(function, *arguments)


class Faults:
    """The faults of a site; each gives a ``Blame``.

    :param chance: says how long and whom, the same for the same seed.
    """

    def __init__(self, site, work, chance):
        self.site = site
        self.work = work
        self.chance = chance

    @property
    def kinds(self):
        """Give the faults that this site can have, by name."""
        names = [name for name in dir(self) if name.startswith("do_")]
        wanted = [name for name in names if self.site.servers or "database" not in name]
        return {name[3:]: getattr(self, name) for name in wanted}

    def some_pod(self):
        return self.chance.randrange(len(self.site.pods))

    async def wait(self, least=1.0, most=6.0):
        await asyncio.sleep(self.chance.uniform(least, most))

    # Processes.

    async def restart(self, place):
        await in_thread(place.process.kill)
        await self.wait(0, 3)
        await in_thread(place.start)

    async def do_kill_a_pod(self):
        pod = self.some_pod()
        await self.restart(self.site.pods[pod])
        return Blame([pod], [pod])

    async def do_kill_a_pod_at_a_point(self):
        pod = self.some_pod()
        place = self.site.pods[pod]
        label = f"{self.chance.choice(MOMENTS)} {self.chance.choice(FUNCTIONS)}"
        armed = Armed(self.site.directory, place.name)
        armed.arm(label)
        for _ in range(100):
            if place.process.process.poll() is not None:
                break
            await asyncio.sleep(0.1)
        hit = await in_thread(armed.disarm)
        self.work.books.count(f"{'died' if hit else 'lived'} {label}")
        if hit:
            await self.restart(place)
        return Blame([pod], [pod]) if hit else NOBODY

    async def do_kill_a_connector(self):
        await self.restart(self.chance.choice(self.site.connectors))
        return Blame(streams=range(len(self.site.pods)))

    async def do_stop_a_connector_for_a_while(self):
        await self.hold([self.chance.choice(self.site.connectors).process.process.pid], 2, 15)
        return NOBODY

    async def do_stop_a_pod_for_a_while(self):
        await self.hold([self.site.pods[self.some_pod()].process.process.pid], 2, 15)
        return NOBODY

    async def do_stop_a_pod_for_longer_than_its_lease(self):
        pod = self.some_pod()
        await self.hold([self.site.pods[pod].process.process.pid], 32, 40)
        # Connectors take a pod to be dead that answers no ping for 36 to 45 s.
        return Blame(streams=[pod])

    async def do_stop_a_pod_until_its_records_are_closed(self):
        pod = self.some_pod()
        await self.hold([self.site.pods[pod].process.process.pid], 52, 60)
        return Blame(streams=[pod])

    async def hold(self, pids, least, most):
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await self.wait(least, most)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    # The database.

    async def do_kill_the_database(self):
        servers = self.site.servers
        await in_thread(servers.kill_primary)
        await self.wait()
        await in_thread(servers.start, servers.primary)
        return NOBODY

    async def do_kill_9_the_database(self):
        servers = self.site.servers
        for pid in await in_thread(servers.pids, servers.primary):
            os.kill(pid, signal.SIGKILL)
        await self.wait()
        await in_thread(servers.start, servers.primary)
        return NOBODY

    async def do_promote_the_standby_of_the_database(self):
        servers = self.site.servers
        await in_thread(servers.kill_primary)
        await self.wait(0, 3)
        await in_thread(servers.promote)
        await self.wait(0, 3)
        await in_thread(servers.make_standby)
        return NOBODY

    async def do_stop_the_database_for_a_while(self):
        servers = self.site.servers
        await self.hold(await in_thread(servers.pids, servers.primary), 2, 20)
        return NOBODY

    async def do_stop_the_standby_of_the_database(self):
        servers = self.site.servers
        await self.hold(await in_thread(servers.pids, 1 - servers.primary), 2, 20)
        return NOBODY

    # The network.

    async def part(self, *addresses, least=2, most=20):
        for address in addresses:
            await in_thread(silence, address)
        try:
            await self.wait(least, most)
        finally:
            for address in addresses:
                await in_thread(silence, address, False)
        return NOBODY

    async def do_part_a_pod_and_the_database(self):
        return await self.part(DATABASE_ADDRESSES[self.some_pod()])

    async def do_part_all_pods_and_the_database(self):
        return await self.part(*DATABASE_ADDRESSES)

    async def do_part_the_two_of_the_database(self):
        return await self.part(REPLICATION)

    async def do_part_a_pod_and_the_database_for_a_minute(self):
        return await self.part(DATABASE_ADDRESSES[self.some_pod()], least=50, most=70)

    async def do_part_a_pod_and_the_site(self):
        return await self.part(LINK_ADDRESSES[self.some_pod()])

    # The rest of the world.

    async def do_fill_the_disk(self):
        filler = await in_thread(self.site.fill)
        try:
            await self.wait(2, 8)
        finally:
            filler.unlink()
        servers = self.site.servers
        if servers:
            for number in (servers.primary, 1 - servers.primary):
                await in_thread(self.start_if_dead, number)
        return NOBODY

    def start_if_dead(self, number):
        """Start a server that gave up: PostgreSQL does when it can't write its log."""
        servers = self.site.servers
        try:
            servers.execute(number, "SELECT 1")
        except psycopg.Error:
            servers.stop(number)
            servers.start(number)

    async def do_make_a_clock_jump(self):
        name = self.chance.choice(sorted(self.site.clocks))
        jump = self.chance.choice((HOUR, -HOUR, DAY, -DAY))
        self.work.books.count(f"clock of {name}: {jump:+d}")
        self.site.clocks[name].jump(jump)
        try:
            await self.wait(3, 10)
        finally:
            self.site.clocks[name].jump(0)
        await asyncio.sleep(1.5)  # so long a process keeps the clock that it has read
        return NOBODY

    async def do_kill_dns(self):
        """A name that can't be looked up is refused in time, and harms nobody else."""
        name = f"dead-{time.monotonic_ns()}"
        user = self.site.users[0]
        self.site.resolver.is_dead = True
        try:
            tunnel = await in_thread(self.site.tunnel, name, f"{name}.{DOMAIN}", self.site.port)
            await in_thread(self.site.assign, 0, tunnel, user[1])
            await self.opens_fail(user, name, self.site.port, 25)
        finally:
            self.site.resolver.is_dead = False
        connection, login = await self.work.log_in(user, 0)
        stream = await asyncio.wait_for(open_stream(connection, name, self.site.port), 30)
        stream.channel.close()
        await self.work.leave(connection, login)
        return NOBODY

    async def do_have_targets_that_dont_answer(self):
        await self.opens_fail(self.site.users[0], "slow", self.site.silent_port, 40)
        return NOBODY

    async def opens_fail(self, user, tunnel, port, patience):
        """Have opens refused with a reason, in time; others go on meanwhile."""
        books = self.work.books
        connection, login = await self.work.log_in(user, self.some_pod())
        opens = [open_stream(connection, tunnel, port) for _ in range(AT_ONCE)]
        waiting = asyncio.gather(*opens, return_exceptions=True)
        try:
            found = await asyncio.wait_for(waiting, patience)
        except TimeoutError:
            books.faults.append(f"opens to {tunnel} wait for longer than {patience} s")
            found = []
        for one in found:
            if not isinstance(one, asyncssh.ChannelOpenError) or not str(one):
                books.faults.append(f"an open to {tunnel} gave {one!r}")
            else:
                books.refused(one)
        try:
            other, other_login = await self.work.log_in(user, login.pod)
            stream = await asyncio.wait_for(open_stream(other, "echo", self.site.port), 10)
            stream.channel.close()
            await self.work.leave(other, other_login)
        except REFUSED as error:
            books.faults.append(f"beside dead targets another was refused: {error!r}")
        await self.work.leave(connection, login)
