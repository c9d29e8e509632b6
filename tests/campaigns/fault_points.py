"""Points in a pod at which a campaign has it die: before, in and after what it writes.

``install`` runs in the pod, before the pod does.  A point's label is a moment and the name of the
function that writes: ``inside`` (nothing is written yet), ``done`` (written, and not committed),
``told`` (durable, and nobody was answered).  A campaign arms a point with a file.
"""

import os
import select
import signal
import time
from pathlib import Path

DIRECTORY = "TUNNELCLOUD_TESTS_POINTS"
NAME = "TUNNELCLOUD_TESTS_POD"
MOMENTS = ("inside", "done", "told")
FUNCTIONS = (
    "tunnelcloud.pod.logins.login_with_token",
    "tunnelcloud.pod.logins.login_with_key",
    "tunnelcloud.pod.records._write_all",
    "tunnelcloud.pod.cluster._beat",
    "tunnelcloud.store.user_limits.open_channel",
    "tunnelcloud.store.sessions.sync_traffic",
)
"""What is written while the campaign's work goes on; ``test_faults`` holds them to the program."""


class Armed:
    """The point that a pod is to die at, kept in a file."""

    def __init__(self, directory, name):
        self.file = Path(directory) / f"{name}.armed"
        self.hit = Path(directory) / f"{name}.hit"

    def arm(self, label):
        self.hit.unlink(missing_ok=True)
        self.file.write_text(label)

    def disarm(self):
        """Take the point away; tell whether the pod came by it."""
        self.file.unlink(missing_ok=True)
        return self.hit.exists()

    def pass_by(self, label):
        """Die here, if this is the point."""
        try:
            armed = self.file.read_text()
        except OSError:
            return
        if armed == label:
            self.hit.touch()
            self.file.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)


def label_of(function):
    """Name a store function as points do."""
    function = getattr(function, "func", function)
    return f"{function.__module__}.{function.__qualname__}"


def sleep_by_select():
    """Have ``time.sleep`` work beside libfaketime, which refuses the call that Python makes."""
    time.sleep = lambda seconds: select.select((), (), (), seconds)


def install():
    """Have this process pass by the points of its store."""
    sleep_by_select()
    from tunnelcloud.store.asynchronous import AsyncStore

    armed = Armed(os.environ[DIRECTORY], os.environ[NAME])
    write = AsyncStore.write

    def passing(store, function, /, *arguments, **named):
        label = label_of(function)

        def work(transaction, *arguments, **named):
            armed.pass_by(f"inside {label}")
            result = function(transaction, *arguments, **named)
            armed.pass_by(f"done {label}")
            return result

        def told(result):
            armed.pass_by(f"told {label}")
            return result

        return write(store, work, *arguments, **named).addCallback(told)

    AsyncStore.write = passing
