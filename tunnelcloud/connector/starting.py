"""Makes a connector of its command line and settings; it only wires parts together.

This is all of the product that ``twistd tunnelcloud connector`` loads: nothing of a pod.
"""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from attrs import frozen

from tunnelcloud import __version__, daemon
from tunnelcloud.connector.allowed_targets import AccessList, BadRule, parse_access_list
from tunnelcloud.connector.outgoing import Outgoing
from tunnelcloud.connector.service import ConnectorService
from tunnelcloud.connector.settings import read_connector_settings
from tunnelcloud.connector.state import ConnectorState
from tunnelcloud.domain.join_tokens import JoinRefused, JoinToken, parse_join_token
from tunnelcloud.domain.log_areas import LogPlan
from tunnelcloud.domain.proxy_choice import BadProxy
from tunnelcloud.net.log_levels import LOG_LEVELS
from tunnelcloud.private_files import ExposedPrivateFile, UnreadablePrivateFile, read_private
from tunnelcloud.settings_files import BadSettings, CannotStart


def make_connector(
    reactor: Any,
    config: Path | None,
    state_directory: Path | None,
    token: str | None,
    token_file: Path | None,
) -> ConnectorService:
    """Make the service, and look whether it can start at all.

    :param token: a join token.
    :param token_file: a file with one, which may be gone once the connector has joined.
    :raise CannotStart: with a line that says what is wrong and what to do.
    """
    plan = read_plan(reactor, config, state_directory)
    LOG_LEVELS.set(plan.log)
    state = ConnectorState(plan.state_directory)
    state.take()
    try:
        joining = _join_token(token, token_file, state)
    except JoinRefused as error:
        raise CannotStart(str(error)) from None
    service = ConnectorService(
        reactor,
        state,
        joining,
        plan.access_list,
        version=__version__,
        now=partial(datetime.now, UTC),
        random=random.SystemRandom().random,
        give_up=partial(daemon.give_up, reactor),
        outgoing=plan.outgoing,
    )
    service.check()
    return service


@frozen
class Plan:
    """A connector's settings, completed from the environment."""

    state_directory: Path
    access_list: AccessList
    outgoing: Outgoing
    log: LogPlan


def read_plan(reactor: Any, config: Path | None, state_directory: Path | None) -> Plan:
    """Read the settings; nothing is made or opened yet.

    :raise CannotStart: with a line that says what is wrong and what to do.
    """
    settings = read_connector_settings(config, state_directory)
    if settings.state_directory is None:
        raise BadSettings(f"{config}: state_directory is missing, and so is --state")
    outgoing = Outgoing(reactor, settings.proxy, os.environ)
    try:
        outgoing.check()
        access_list = parse_access_list(settings.allow, settings.deny)
    except (BadRule, BadProxy) as error:
        raise CannotStart(str(error)) from None
    return Plan(settings.state_directory, access_list, outgoing, settings.log)


def _join_token(text: str | None, path: Path | None, state: ConnectorState) -> JoinToken | None:
    if path is not None:
        try:
            text = read_private(path).decode("ascii")
        except FileNotFoundError:
            if state.load() is not None:
                return None
            raise BadSettings(f"--join-file {path}: there is no such file") from None
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"--join-file {path}: can't be read: {error}") from None
        except (ExposedPrivateFile, UnreadablePrivateFile) as error:
            raise BadSettings(f"--join-file: {error}") from None
    return None if text is None else parse_join_token(text)
