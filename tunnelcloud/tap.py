"""What twistd runs: options in, a service out.  Wiring only.

Each subcommand loads what it needs itself and no more: a connector nothing of a pod.
"""

from __future__ import annotations

import linecache
import platform
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.application.service import IService
from twisted.python import usage

from tunnelcloud.garbage_collection import look_seldom
from tunnelcloud.interpreter_lock import switch_often
from tunnelcloud.net.log_levels import LOG_LEVELS, filter_all
from tunnelcloud.net.log_texts import tame_all
from tunnelcloud.settings_files import CannotStart

if TYPE_CHECKING:
    from tunnelcloud.connector.service import ConnectorService
    from tunnelcloud.demo import DemoService
    from tunnelcloud.pod.service import PodService


_NOT_ON_WINDOWS = (
    "TunnelCloud's services don't run on Windows: run the connector on any Linux machine that "
    "reaches the servers (a virtual machine or a container is enough). The servers themselves may "
    "run Windows"
)


class PodOptions(usage.Options):
    """Options of ``twistd tunnelcloud pod``."""

    synopsis = "[--config FILE] [--state DIR]"
    optParameters = [
        ["config", "c", None, "pod.toml; see etc/pod.toml for what it may say.", Path],
        ["state", "s", None, "The state directory; alone it is enough.", Path],
    ]

    def postOptions(self) -> None:
        """Check that there is something to go by."""
        if self["config"] is None and self["state"] is None:
            raise usage.UsageError("give --config FILE or --state DIR")


class ConnectorOptions(usage.Options):
    """Options of ``twistd tunnelcloud connector``."""

    synopsis = "--state DIR [--join TOKEN | --join-file FILE] [--config FILE]"
    optParameters = [
        ["config", "c", None, "connector.toml: state_directory, allow and deny.", Path],
        ["state", "s", None, "The state directory.", Path],
        ["join", "j", None, "The join token; not needed once the connector has joined."],
        ["join-file", None, None, "A file with the join token; it may be gone later.", Path],
    ]

    def postOptions(self) -> None:
        """Check that there is something to go by."""
        if self["config"] is None and self["state"] is None:
            raise usage.UsageError("give --state DIR, or --config FILE with a state_directory")
        if self["join"] is not None and self["join-file"] is not None:
            raise usage.UsageError("give --join or --join-file, not both")


class DemoOptions(usage.Options):
    """Options of ``twistd tunnelcloud demo``."""

    synopsis = ""


class Options(usage.Options):
    """Options of ``twistd tunnelcloud``."""

    subCommands = [
        ["pod", None, PodOptions, "The gateway: SSH front door, connector listener, web."],
        ["connector", None, ConnectorOptions, "The process in a site that opens TCP to targets."],
        ["demo", None, DemoOptions, "A pod, a connector and a demo server; says what to paste."],
    ]

    def getSynopsis(self) -> str:
        """Give the usage line, or what a part puts its name and its own options behind."""
        self.synopsis = "" if self.subCommand else "{pod | connector | demo} [options]"
        return super().getSynopsis().rstrip()

    def postOptions(self) -> None:
        """Check that a part was named."""
        if self.subCommand is None:
            raise usage.UsageError("say which part: pod, connector or demo")


def makeService(options: Options) -> IService:
    """Make the service that was asked for.

    :raise SystemExit: with a line that says what is wrong and what to do.
    """
    if platform.system() == "Windows":
        raise SystemExit(_NOT_ON_WINDOWS)
    from twisted.internet import reactor

    tame_all()
    filter_all()
    # Twisted's own reactors time everything by a clock that an administrator may set.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    look_seldom(reactor)
    switch_often()
    makers = {"pod": _pod, "connector": _connector, "demo": _demo}
    try:
        return makers[str(options.subCommand)](reactor, options.subOptions)
    except CannotStart as error:
        raise SystemExit(str(error)) from None


def _pod(reactor: Any, options: usage.Options) -> PodService:
    from tunnelcloud.daemon import outlive_early_hangup
    from tunnelcloud.pod.starting import make_pod
    from tunnelcloud.settings import read_pod_settings

    outlive_early_hangup()
    read = partial(read_pod_settings, options["config"], options["state"])
    # attrs keeps the source of all that it generates there, which takes a megabyte.
    linecache.clearcache()
    settings = read()
    LOG_LEVELS.set(settings.log.plan)
    return make_pod(reactor, settings, read_settings=read)


def _connector(reactor: Any, options: usage.Options) -> ConnectorService:
    from tunnelcloud.connector.starting import make_connector

    return make_connector(
        reactor, options["config"], options["state"], options["join"], options["join-file"]
    )


def _demo(reactor: Any, options: usage.Options) -> DemoService:
    from tunnelcloud.demo import DemoService

    of_tunnelcloud = options.parent
    assert of_tunnelcloud is not None
    of_twistd = of_tunnelcloud.parent
    assert of_twistd is not None
    told_where = of_twistd["logfile"] or of_twistd["syslog"] or of_twistd["logger"]
    return DemoService(reactor, keeps_log=not told_where)
