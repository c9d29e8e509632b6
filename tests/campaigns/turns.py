"""How much of the processor's time each turn of a running pod's reactor takes.

    PREPARATION    lines of Python for ``tests.integration.processes.twistd``
    long_turns     what the pod then says of turns that were too long
    longest        the longest of all, in milliseconds

The time is that of the reactor's own thread, whatever else the machine does meanwhile.  A look of
Python's collector at all that there is, which a program that has grown takes, is no request's fault
and isn't counted.
"""

import gc
import re
import sys
import threading
import time

from twisted.internet import epollreactor
from twisted.web import http

PREPARATION = "from tests.campaigns import turns; turns.watch()\n"
LONGEST_TURN = 0.05
_TOLD = "a turn of the reactor took"
_LONGEST = "the longest turn took"


class _Watch:
    """Knows what the turn that goes on has done so far."""

    def __init__(self):
        self.began = None
        self.longest = 0.0
        self.asked = []

    def over(self):
        """The turn is over: everything that was ready has been worked on."""
        if self.began is None:
            return
        taken = time.thread_time() - self.began
        self.longest = max(self.longest, taken)
        if taken > LONGEST_TURN:
            requests = ", ".join(self.asked) or "no request"
            sys.stdout.write(f"{_TOLD} {taken * 1000:.0f} ms: {requests}\n")

    def collected(self, phase, info):
        """Leave out what a whole look for garbage took; called by ``gc``."""
        here = threading.current_thread() is threading.main_thread()
        if self.began is not None and info["generation"] == 2 and here:
            now = time.thread_time()
            self.began += now if phase == "stop" else -now

    def begin(self):
        self.asked.clear()
        self.began = time.thread_time()


class _Poll:
    """Tells a watch when the reactor waits."""

    def __init__(self, poll, watch):
        self._poll = poll
        self._watch = watch

    def poll(self, *args):
        self._watch.over()
        found = self._poll.poll(*args)
        self._watch.begin()
        return found

    def __getattr__(self, name):
        return getattr(self._poll, name)


def watch():
    """Measure each turn of the reactor that this process will run; called before that is made."""
    turns = _Watch()
    make, process = epollreactor.EPollReactor.__init__, http.Request.requestReceived

    def made(reactor, *args):
        make(reactor, *args)
        reactor._poller = _Poll(reactor._poller, turns)
        reactor.addSystemEventTrigger("after", "shutdown", told)

    def told():
        sys.stdout.write(f"{_LONGEST} {turns.longest * 1000:.1f} ms\n")

    def received(request, command, path, version):
        turns.asked.append(f"{command.decode()} {_kind(path)}")
        process(request, command, path, version)

    gc.callbacks.append(turns.collected)
    epollreactor.EPollReactor.__init__ = made
    http.Request.requestReceived = received


def _kind(path):
    """Give a request's path without the ids in it."""
    return re.sub(r"[a-z]{3}_[0-9a-v]{26}", "{id}", path.partition(b"?")[0].decode("latin-1"))


def long_turns(lines):
    """Give what a pod said of turns that were too long."""
    return [line for line in lines if _TOLD in line]


def longest(lines):
    """Give how many milliseconds a pod's longest turn took, as it said when it ended."""
    [found] = [line for line in lines if _LONGEST in line]
    return float(found.split()[-2])
