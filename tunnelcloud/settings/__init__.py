"""The pod's settings: TOML in, frozen values out; a bad file stops the start with one clear text.

What each key means and its default stand in etc/pod.toml.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from tunnelcloud.domain.log_areas import Area, Format, Level, LogPlan
from tunnelcloud.settings.listening import find_port_clash
from tunnelcloud.settings.notify import NotifySettings
from tunnelcloud.settings.url_files import WebhookSettings, with_url
from tunnelcloud.settings.validation_messages import wording
from tunnelcloud.settings.values import (
    AuditFormat,
    Count,
    DatabaseUrl,
    Duration,
    DurationOrNever,
    Endpoints,
    File,
    LinkAddress,
    Network,
    PodName,
    RekeyAfter,
    RekeyBytes,
    SecretFile,
    Silence,
    SpoolBytes,
    SSHAddress,
    SyslogAddress,
    Table,
    read_certificate_name,
    read_database_url,
)
from tunnelcloud.settings.web import AcmeSettings, WebSettings
from tunnelcloud.settings_files import BadSettings, read_toml, told


class DatabaseSettings(Table):
    """Where state is kept."""

    url: DatabaseUrl = Field(default="sqlite", repr=False)
    url_file: File | None = None
    sealing_key_file: SecretFile | None = None
    max_blind: Annotated[DurationOrNever, Field(validate_default=True)] = "15m"  # type: ignore[assignment]

    @model_validator(mode="wrap")
    @classmethod
    def _url_of_file(cls, raw: Any, read: Callable[[Any], DatabaseSettings]) -> DatabaseSettings:
        return with_url(read(raw), read_database_url)


class SSHSettings(Table):
    """The SSH front door."""

    listen: Endpoints = ["tcp:2222"]
    public_address: SSHAddress | None = None
    proxy_protocol_from: list[Network] = []
    exempt_networks: list[Network] = []
    rekey_bytes: Annotated[RekeyBytes, Field(validate_default=True)] = "1GiB"  # type: ignore[assignment]
    rekey_after: Annotated[RekeyAfter, Field(validate_default=True)] = "1h"  # type: ignore[assignment]
    reuse_port: bool = False
    browser_login: Literal["anywhere", "same-network", "off"] = "anywhere"


class ConnectorsSettings(Table):
    """The listener that connectors dial."""

    listen: Endpoints = ["tcp:8443"]
    public_address: LinkAddress | None = None
    certificate_lifetime: Annotated[Duration, Field(validate_default=True)] = "30d"  # type: ignore[assignment]
    renewal_grace: Annotated[DurationOrNever, Field(validate_default=True)] = "30d"  # type: ignore[assignment]
    unread_timeout: Annotated[Duration, Field(validate_default=True)] = "60s"  # type: ignore[assignment]
    proxy_protocol_from: list[Network] = []
    exempt_networks: list[Network] = []
    links_per_connector: Annotated[int, Field(ge=1, le=16)] = 2
    longest_silence: Annotated[Silence, Field(validate_default=True)] = "45s"  # type: ignore[assignment]


class FrontSettings(Table):
    """One port for SSH, connectors and the web."""

    listen: Endpoints = []
    reuse_port: bool = False
    proxy_protocol_from: list[Network] = []


class MetricsSettings(Table):
    """The listener that only monitoring reaches."""

    listen: Endpoints = []


class LogSettings(Table):
    """How much is logged, and how."""

    format: Format = "text"
    level: Level = "info"
    levels: dict[Area, Level] = {}

    @property
    def plan(self) -> LogPlan:
        """All of it together."""
        return LogPlan(self.level, self.levels, self.format)


class AuditFileSettings(Table):
    """The audit in a file."""

    path: File | None = None
    format: AuditFormat = "json"


class AuditSyslogSettings(Table):
    """The audit to a syslog server over TLS."""

    address: SyslogAddress | None = None
    ca: File | None = None
    format: AuditFormat = "json"


class AuditWebhookSettings(WebhookSettings):
    """The audit to a web address."""

    format: AuditFormat = "json"


class AuditSettings(Table):
    """Where the audit goes beside the store and the log."""

    spool: Annotated[SpoolBytes, Field(validate_default=True)] = "256MiB"  # type: ignore[assignment]
    file: AuditFileSettings = AuditFileSettings()
    syslog: AuditSyslogSettings = AuditSyslogSettings()
    webhook: AuditWebhookSettings = AuditWebhookSettings()


class TokensSettings(Table):
    """One-time tokens."""

    lifetime: Annotated[Duration, Field(validate_default=True)] = "10m"  # type: ignore[assignment]


class SharesSettings(Table):
    """One user's share of a pod: an eighth of each pool by default."""

    sessions: Count = 625
    channels: Count = 625
    per_target: Count = 128
    pending: Count = 128
    held: Count = 1500
    opens_per_second: Count = 250
    checks: Count = 8


class PodSettings(Table):
    """All of pod.toml."""

    name: PodName = "pod-1"
    state_directory: Path = Field(default=Path("/var/lib/tunnelcloud"), strict=False)
    drain: Annotated[Duration, Field(validate_default=True)] = "30s"  # type: ignore[assignment]
    database: DatabaseSettings = DatabaseSettings()
    ssh: SSHSettings = SSHSettings()
    connectors: ConnectorsSettings = ConnectorsSettings()
    web: WebSettings = WebSettings()
    tokens: TokensSettings = TokensSettings()
    front: FrontSettings = FrontSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()
    audit: AuditSettings = AuditSettings()
    notify: NotifySettings = NotifySettings()
    shares: SharesSettings = SharesSettings()

    @property
    def has_metrics_apart(self) -> bool:
        """Whether ``/metrics`` is not on the web listener: it has its own, or the web is public."""
        return bool(self.metrics.listen or self.front.listen)

    @model_validator(mode="after")
    def _is_reachable(self) -> PodSettings:
        if not self.front.listen:
            for section in ("ssh", "connectors", "web"):
                if not getattr(self, section).listen:
                    raise ValueError(
                        f"{section}.listen: name an endpoint here, or one in front.listen"
                    )
        return self

    @model_validator(mode="after")
    def _has_a_port_for_each(self) -> PodSettings:
        clash = find_port_clash(
            (f"{section}.listen", one)
            for section in ("ssh", "connectors", "web", "front", "metrics")
            for one in getattr(self, section).listen
        )
        if clash is not None:
            first, second, port = clash
            raise ValueError(
                f"{second}: {first} has port {port} already: give each its own, or have "
                "front.listen take SSH, connectors and the web on one"
            )
        return self

    @model_validator(mode="after")
    def _has_one_certificate(self) -> PodSettings:
        web = self.web
        if (web.certificate is None) != (web.private_key is None):
            raise ValueError("web.certificate and web.private_key: set both or neither")
        if web.acme.directory is None:
            if web.acme != AcmeSettings():
                raise ValueError("web.acme.directory: name the authority's directory")
            return self
        if web.certificate is not None:
            raise ValueError("web.certificate and web.acme.directory: set one of them")
        if not web.certificate_names():
            raise ValueError("web.acme.names: name who the certificate is for, or set public_url")
        for name in web.certificate_names():
            read_certificate_name(name)
        if not (self.front.listen or web.tls_listen):
            raise ValueError(
                "web.acme.directory: no listener would show the certificate: set front.listen to "
                '["tcp:443"], or web.listen to ["ssl:443"]'
            )
        return self


LISTENING = tuple(
    name for name in PodSettings.model_fields if hasattr(getattr(PodSettings(), name), "listen")
)
"""The sections that have listeners."""


def read_pod_settings(path: Path | None, state_directory: Path | None) -> PodSettings:
    """Read pod.toml; either argument alone is enough.

    :param state_directory: overrides the file's.
    :raise BadSettings: with every fault found.
    """
    raw = {} if path is None else read_toml(path)
    if state_directory is not None:
        raw["state_directory"] = str(state_directory)
    try:
        return PodSettings.model_validate(raw)
    except ValidationError as error:
        origin = str(path) if path is not None else "command line"
        lines = [_fault(PodSettings, origin, fault) for fault in error.errors()]
        raise BadSettings("\n".join(lines)) from None


_MAY_BE_SECRET = frozenset(
    {
        *("database", "database.url", "audit.webhook", "audit.webhook.url"),
        *("notify.webhook", "notify.webhook.url"),
    }
)
"""Whatever stands there wrongly isn't shown: it may be an address with a password or a token."""


def _fault(kind: type[BaseModel], origin: str, fault: Any) -> str:
    location: tuple[str | int, ...] = fault["loc"]
    key = ".".join(str(part) for part in location if part != "[key]")
    if fault["type"] == "extra_forbidden":
        allowed = ", ".join(_table_at(kind, location[:-1]).model_fields)
        return f"{origin}: {key}: there is no such setting; allowed here: {allowed}"
    message = wording(fault, key)
    if not key or isinstance(
        fault["input"], dict
    ):  # the fault is that of several settings, and the message names them
        return f"{origin}: {key + ': ' if key else ''}{message}"
    shown = "" if key in _MAY_BE_SECRET else told(fault["input"])
    return f"{origin}: {key}: {message}{shown}"


def _table_at(kind: type[BaseModel], location: tuple[str | int, ...]) -> type[BaseModel]:
    for part in location:
        annotation = kind.model_fields[str(part)].annotation
        assert isinstance(annotation, type)
        kind = annotation
    return kind
