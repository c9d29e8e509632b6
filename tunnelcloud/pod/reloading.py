"""What a running pod takes over from a changed pod.toml, and what it needs a restart for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from twisted.logger import Logger

from tunnelcloud.config import BadSettings
from tunnelcloud.settings import PodSettings

_log = Logger()


class Reloading:
    """Reads the settings again when it is told to (SIGHUP), and passes on what has changed.

    A file with a fault changes nothing.  No stream is touched.

    :ivar settings: those that are in force; a setting that needs a restart stays as it was.
    """

    def __init__(
        self,
        settings: PodSettings,
        read: Callable[[], PodSettings],
        takers: Mapping[str, Callable[[Any], object]],
    ) -> None:
        """
        :param read: reads the settings as the start did; raises ``BadSettings``.
        :param takers: by a setting's name, such as ``"ssh.exempt_networks"``, what takes its new
            value over while the pod runs.
        """
        self.settings = settings
        self._read = read
        self._takers = takers

    def reload(self) -> None:
        """Take over what can change, and log the rest."""
        try:
            new = dict(_flat(self._read()))
        except BadSettings as error:
            _log.error("the settings stay as they were: {error}", error=str(error))
            return
        old = dict(_flat(self.settings))
        changed = [name for name in new if new[name] != old[name]]
        taken = [name for name in changed if name in self._takers]
        for name in taken:
            self._takers[name](new[name])
            self.settings = _with(self.settings, name, new[name])
        left = [name for name in changed if name not in self._takers]
        if left:
            _log.warn("a restart is needed for {names}", names=", ".join(left))
        _log.info("the settings were read again; changed: {names}", names=", ".join(taken) or "-")


def _flat(table: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give each setting with its name in dotted form."""
    for name in type(table).model_fields:
        value = getattr(table, name)
        if isinstance(value, BaseModel):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _with(settings: PodSettings, name: str, value: Any) -> PodSettings:
    section, dot, key = name.rpartition(".")
    if not dot:
        return settings.model_copy(update={key: value})
    table = getattr(settings, section).model_copy(update={key: value})
    return settings.model_copy(update={section: table})
