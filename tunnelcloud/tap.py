"""What twistd runs: options in, a service out.  Wiring only."""

from __future__ import annotations

import gc
import random
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python import usage

from tunnelcloud import __version__, daemon
from tunnelcloud.connector.addresses import BadRule, parse_access_list
from tunnelcloud.connector.service import ConnectorService
from tunnelcloud.connector.state import BadState, ConnectorState
from tunnelcloud.daemon import CannotServe
from tunnelcloud.demo import DemoService
from tunnelcloud.domain.join_tokens import JoinRefused, JoinToken, parse_join_token
from tunnelcloud.pod.service import PodService, make_pod
from tunnelcloud.settings import (
    BadSettings,
    read_connector_settings,
    read_pod_settings,
)


class PodOptions(usage.Options):
    """Options of C{twistd tunnelcloud pod}."""

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
    """Options of C{twistd tunnelcloud connector}."""

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
    """Options of C{twistd tunnelcloud demo}."""

    synopsis = ""


class Options(usage.Options):
    """Options of C{twistd tunnelcloud}."""

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
    from twisted.internet import reactor

    # Twisted's own reactors time everything by a clock that an administrator may set.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    # What is there by then stays: looking through it for garbage would take 80 ms now and then.
    reactor.callWhenRunning(gc.freeze)
    makers = {"pod": _pod, "connector": _connector, "demo": _demo}
    try:
        return makers[str(options.subCommand)](reactor, options.subOptions)
    except (BadSettings, BadRule, BadState, CannotServe, JoinRefused) as error:
        raise SystemExit(str(error)) from None


def _pod(reactor: Any, options: usage.Options) -> PodService:
    read = partial(read_pod_settings, options["config"], options["state"])
    return make_pod(reactor, read(), read_settings=read)


def _connector(reactor: Any, options: usage.Options) -> ConnectorService:
    settings = read_connector_settings(options["config"], options["state"])
    if settings.state_directory is None:
        raise BadSettings(f"{options['config']}: state_directory is missing, and so is --state")
    state = ConnectorState(settings.state_directory)
    service = ConnectorService(
        reactor,
        state,
        _join_token(options["join"], options["join-file"], state),
        parse_access_list(settings.allow, settings.deny),
        version=__version__,
        now=partial(datetime.now, UTC),
        random=random.SystemRandom().random,
        give_up=partial(daemon.give_up, reactor),
    )
    service.check()
    return service


def _join_token(text: str | None, path: Path | None, state: ConnectorState) -> JoinToken | None:
    if path is not None:
        try:
            text = path.read_text("ascii")
        except FileNotFoundError:
            if state.load() is not None:
                return None
            raise BadSettings(f"--join-file {path}: there is no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"--join-file {path}: can't be read: {error}") from None
    return None if text is None else parse_join_token(text)


def _demo(reactor: Any, options: usage.Options) -> DemoService:
    of_tunnelcloud = options.parent
    assert of_tunnelcloud is not None
    of_twistd = of_tunnelcloud.parent
    assert of_twistd is not None
    told_where = of_twistd["logfile"] or of_twistd["syslog"] or of_twistd["logger"]
    return DemoService(reactor, keeps_log=not told_where)
