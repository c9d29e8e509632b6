"""The connector's settings: TOML in, frozen values out.

What each key means and its default stand in etc/connector.toml.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
from attrs import field, frozen

from tunnelcloud.domain.log_areas import LogPlan, read_log_plan
from tunnelcloud.domain.proxy_choice import Proxy, read_proxy
from tunnelcloud.settings_files import BadSettings, read_secret, read_toml, told


@frozen
class ConnectorSettings:
    """All of connector.toml; ``allow`` and ``deny`` are read by the access list."""

    state_directory: Path | None = None
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    proxy: Proxy | None = None
    proxy_password_file: Path | None = None
    log: LogPlan = field(factory=LogPlan)


def read_connector_settings(path: Path | None, state_directory: Path | None) -> ConnectorSettings:
    """Read connector.toml; either argument alone is enough.

    :param state_directory: overrides the file's.
    :raise BadSettings: with every fault found.
    """
    raw = {} if path is None else read_toml(path)
    if state_directory is not None:
        raw["state_directory"] = str(state_directory)
    origin = str(path) if path is not None else "command line"
    values: dict[str, Any] = {}
    faults = []
    for key, value in raw.items():
        reader = _READERS.get(key)
        if reader is None:
            faults.append(f"{key}: there is no such setting; allowed here: {', '.join(_READERS)}")
            continue
        try:
            values[key] = reader(value)
        except ValueError as error:
            faults.append(f"{key}: {error}" + ("" if key == "proxy" else told(value)))
    if faults:
        raise BadSettings("\n".join(f"{origin}: {fault}" for fault in faults))
    return _with_password(ConnectorSettings(**values), origin)


def _with_password(settings: ConnectorSettings, origin: str) -> ConnectorSettings:
    path = settings.proxy_password_file
    if path is None:
        return settings
    fault = f"{origin}: proxy_password_file"
    if settings.proxy is None or not settings.proxy.user:
        raise BadSettings(f'{fault}: name the user in proxy = "http://user@proxy:3128"')
    try:
        password = read_secret(path)
    except ValueError as error:
        raise BadSettings(f"{fault}: {error}") from None
    return attrs.evolve(settings, proxy=settings.proxy.with_password(password))


def _path(value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError('use a path such as "/var/lib/tunnelcloud-connector"')
    return Path(value)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError('use a list of texts such as ["10.0.0.0/8", "db.internal:5432"]')
    return tuple(value)


def _proxy(value: object) -> Proxy:
    if not isinstance(value, str):
        raise ValueError('use a text such as "http://user:password@proxy:3128"')
    return read_proxy(value)


_READERS: Mapping[str, Callable[[object], Any]] = {
    "state_directory": _path,
    "allow": _texts,
    "deny": _texts,
    "proxy": _proxy,
    "proxy_password_file": _path,
    "log": read_log_plan,
}
assert set(_READERS) == {one.name for one in attrs.fields(ConnectorSettings)}
