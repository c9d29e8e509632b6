"""Pods, a site and a database are broken, one fault after the other, while work goes on.

usage, as root: python -m tests.campaigns.faults [--rounds N] [--seed S] [--engine E] [--only FAULT]

Each round breaks one thing, chosen by the seed, mends it, and wants all pods to be ready again
``--ready`` seconds later; then the oracle looks (``fault_oracle``).  Everything is in a network and
a file system of its own.  The campaign goes on after a round that failed, and fails at its end.
"""

import argparse
import asyncio
import contextlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.campaigns.fault_kinds import Faults
from tests.campaigns.fault_oracle import CLOSED_WITHIN, NOBODY, Oracle
from tests.campaigns.fault_site import RESOLVER, Site
from tests.campaigns.fault_work import Books, Work
from tests.campaigns.network_cut import echo, ip
from tests.integration.processes import PYTHON
from tests.requirements import require_executable

DISK = {"postgresql": "700m", "sqlite": "200m"}
SETTLED = 2.0


async def say_back(reader, writer):
    """Be the target: say back what comes, however the other side ends."""
    with contextlib.suppress(ConnectionError, asyncio.CancelledError):
        await echo(reader, writer)


class Campaign:
    """One site, and its rounds."""

    def __init__(self, site, options):
        self.site = site
        self.options = options
        self.books = Books()
        self.chance = random.Random(options.seed)
        self.failed = 0
        self.slowest = 0.0

    async def run(self):
        server = await asyncio.start_server(say_back, "127.0.0.1", self.site.port)
        self.work = Work(self.site, self.books)
        self.oracle = Oracle(self.site, self.books, self.work)
        faults = Faults(self.site, self.work, self.chance)
        self.work.start()
        self.work.be_calm()
        await asyncio.sleep(3 * SETTLED)
        waiting = []
        for number in range(1, self.options.rounds + 1):
            # Each kind comes as often as any other.
            waiting = waiting or self.chance.sample(sorted(faults.kinds), len(faults.kinds))
            name = self.options.only or waiting.pop()
            await self.round(number, name, faults.kinds[name])
        if self.options.last_look:
            await asyncio.sleep(CLOSED_WITHIN)
            self.tell("the last look", await self.oracle.judge([], NOBODY))
        await self.work.stop()
        server.close()

    async def round(self, number, name, fault):
        self.work.calm.clear()
        began, ends = time.monotonic(), len(self.books.ends)
        wrong = []
        try:
            blame = await fault()
        except Exception as error:
            wrong.append(f"the fault couldn't be mended: {error!r}")
            blame = NOBODY
        took = time.monotonic() - began
        ready = await self.site.until_ready(self.options.ready)
        if ready is None:
            wrong.append(f"not ready {self.options.ready} s after the repair")
            ready = await self.site.until_ready(120)
        await asyncio.sleep(SETTLED)
        if not wrong:
            self.work.be_calm()
        wrong += await self.oracle.judge(self.books.ends[ends:], blame)
        if error := self.work.failed():
            wrong.append(f"the campaign's own work failed: {error!r}")
        self.slowest = max(self.slowest, ready or 0)
        self.tell(f"{number} {name} {took:.1f} s, ready after {ready and round(ready, 1)} s", wrong)

    def tell(self, what, wrong):
        self.failed += bool(wrong)
        print(f"{time.strftime('%H:%M:%S')} {what}: {'FAILED' if wrong else 'ok'}", flush=True)
        for line in wrong[:20]:
            print(f"    {line}", flush=True)

    def judge_logs(self):
        """No process wrote a traceback; SQLite finds its file in order."""
        wrong = []
        for name, lines in self.site.logs().items():
            (self.site.directory / f"{name}.log").write_text("\n".join(lines))
            if any("Traceback" in line for line in lines):
                wrong.append(f"{name} wrote a traceback")
        if not self.site.servers:
            found = self.site.rows("PRAGMA integrity_check")
            if found != [("ok",)]:
                wrong.append(f"SQLite: {found}")
        self.tell("logs and files", wrong)


def run_inside(options):
    """Run in a network and with mounts of this process's own."""
    directory = Path(options.inside)
    options_of_disk = ["-o", f"size={DISK[options.engine]}", "tunnelcloud", directory]
    ip("link", "set", "lo", "up")
    mount = require_executable("mount")
    subprocess.run([mount, "-t", "tmpfs", *options_of_disk], check=True)
    resolv = directory / "resolv.conf"
    resolv.write_text(f"nameserver {RESOLVER}\noptions timeout:3 attempts:2\n")
    subprocess.run([mount, "--bind", resolv, "/etc/resolv.conf"], check=True)
    tempfile.tempdir = str(directory)
    site = Site(options.engine, directory)
    campaign = Campaign(site, options)
    try:
        asyncio.run(campaign.run())
        campaign.judge_logs()
    finally:
        site.close()
        if options.logs:
            shutil.copytree(directory, options.logs, ignore=_only_logs, dirs_exist_ok=True)
    books = campaign.books
    told = {
        "engine": options.engine,
        "seed": options.seed,
        "rounds": options.rounds,
        "failed": campaign.failed,
        "slowest_ready": round(campaign.slowest, 1),
        **books.counts,
        "ends": len(books.ends),
    }
    print(json.dumps(told))
    for reason, count in sorted(books.refusals.items(), key=lambda one: -one[1]):
        print(f"{count:6} {reason}", file=sys.stderr)
    return 1 if campaign.failed else 0


def _only_logs(directory, names):
    return [name for name in names if not name.endswith(".log")]


def main():
    parser = argparse.ArgumentParser(description="break what pods need, one thing after another")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--engine", choices=sorted(DISK), default="postgresql")
    parser.add_argument("--only", default="", help="this fault in every round")
    parser.add_argument("--ready", type=float, default=15, help="seconds from repair to ready")
    parser.add_argument("--no-last-look", dest="last_look", action="store_false")
    parser.add_argument("--logs", help="where the processes' logs go at the end")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        sys.exit(run_inside(options))
    with tempfile.TemporaryDirectory(prefix="tunnelcloud-faults-") as directory:
        words = [require_executable("unshare"), "--net", "--mount", PYTHON]
        words += ["-m", "tests.campaigns.faults", "--inside", directory, *sys.argv[1:]]
        sys.exit(subprocess.run(words, check=False).returncode)


if __name__ == "__main__":
    main()
