"""The pod's settings: TOML in, frozen values out; a bad file stops the start with one clear text.

What each key means and its default stand in etc/pod.toml.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from tunnelcloud.config import (
    BadSettings,
    parse_duration,
    parse_public_address,
    read_secret,
    read_toml,
    secret_path,
    told,
)
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.log_areas import Area, Level, Verbosity

_SIZE = re.compile(r"(\d{1,9})\s*([KMG]iB)")
_SHIFTS = {"KiB": 10, "MiB": 20, "GiB": 30}


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise ValueError('use a network such as "10.0.0.0/8" or "2001:db8::/32"') from None


def parse_size(text: object) -> int:
    """Read ``512KiB``, ``16MiB`` or ``1GiB`` into bytes.

    :raise ValueError: with what is allowed.
    """
    match = _SIZE.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError('use a number and a unit, such as "512KiB", "16MiB" or "1GiB"')
    return int(match[1]) << _SHIFTS[match[2]]


def _rekey_bytes(size: int) -> int:
    if not 1 << 16 <= size <= 1 << 30:
        raise ValueError('use "64KiB" to "1GiB"')
    return size


def _rekey_after(seconds: int) -> int:
    if not 10 <= seconds <= 86400:
        raise ValueError('use "10s" to "1d"')
    return seconds


def _name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,63}", text):
        raise ValueError("use 1 to 63 of a-z, 0-9 and -")
    return text


def _silence(seconds: int) -> int:
    if not 5 <= seconds <= 45:
        raise ValueError('use "5s" to "45s"')
    return seconds


def _duration_or_never(value: object) -> int:
    return 0 if value == 0 and not isinstance(value, bool) else parse_duration(value)


def read_database_url(text: str) -> str:
    """Read where state is kept.

    :raise ValueError: with what is allowed; the text isn't in it.
    """
    if text == "sqlite" or text.startswith(("postgresql://", "postgres://")):
        return text
    raise ValueError('use "sqlite" or "postgresql://user:password@host/database"')


def has_password(url: str) -> bool:
    """Tell whether a database's URL has a password, in either of the places that libpq knows."""
    parts = urlsplit(url)
    return parts.password is not None or any("password" in one for one in parse_qs(parts.query))


def _secret_path(path: Path) -> Path:
    return secret_path(path)


def _web_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^/\s]+", text.rstrip("/")):
        raise ValueError('use an address such as "https://portal.example.com"')
    return text.rstrip("/")


def _spool_bytes(size: int) -> int:
    if not 1 << 20 <= size <= 64 << 30:
        raise ValueError('use "1MiB" to "64GiB"')
    return size


def _webhook_url(text: str) -> str:
    if not re.fullmatch(r"https://[!-~]+|http://(127\.0\.0\.1|\[::1\])[:/][!-~]*", text):
        raise ValueError('use an address such as "https://siem.example.com/tunnelcloud"')
    return text


def _syslog_address(value: object) -> PublicAddress:
    return value if isinstance(value, PublicAddress) else parse_public_address(value, 6514)


def _ssh_address(value: object) -> PublicAddress:
    return value if isinstance(value, PublicAddress) else parse_public_address(value, 2222)


def _link_address(value: object) -> PublicAddress:
    return value if isinstance(value, PublicAddress) else parse_public_address(value, 8443)


SecretFile = Annotated[Path, Field(strict=False), AfterValidator(_secret_path)]
Network = Annotated[str, AfterValidator(_network)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
DurationOrNever = Annotated[int, BeforeValidator(_duration_or_never)]
Silence = Annotated[Duration, AfterValidator(_silence)]
RekeyBytes = Annotated[int, BeforeValidator(parse_size), AfterValidator(_rekey_bytes)]
RekeyAfter = Annotated[Duration, AfterValidator(_rekey_after)]
SpoolBytes = Annotated[int, BeforeValidator(parse_size), AfterValidator(_spool_bytes)]
AuditFormat = Literal["json", "ecs", "ocsf"]
Endpoints = list[str]


Count = Annotated[int, Field(ge=1)]


class _Table(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )


class DatabaseSettings(_Table):
    """Where state is kept."""

    url: Annotated[str, AfterValidator(read_database_url)] = "sqlite"
    url_file: Annotated[Path, Field(strict=False)] | None = None
    sealing_key_file: SecretFile | None = None
    max_blind: Annotated[DurationOrNever, Field(validate_default=True)] = "15m"  # type: ignore[assignment]

    @model_validator(mode="wrap")
    @classmethod
    def _url_of_file(cls, raw: Any, read: Callable[[Any], DatabaseSettings]) -> DatabaseSettings:
        settings = read(raw)
        if settings.url_file is None:
            return settings
        if ":/" in str(settings.url_file):
            # What is said of a file that can't be read names it.
            raise ValueError("url_file names a file that has the URL: the URL itself goes into url")
        if "url" in settings.model_fields_set:
            raise ValueError("set url or url_file, not both")
        url = read_database_url(read_secret(settings.url_file))
        return settings.model_copy(update={"url": url})


class SSHSettings(_Table):
    """The SSH front door."""

    listen: Endpoints = ["tcp:2222"]
    public_address: Annotated[PublicAddress, BeforeValidator(_ssh_address)] | None = None
    proxy_protocol_from: list[Network] = []
    exempt_networks: list[Network] = []
    rekey_bytes: Annotated[RekeyBytes, Field(validate_default=True)] = "1GiB"  # type: ignore[assignment]
    rekey_after: Annotated[RekeyAfter, Field(validate_default=True)] = "1h"  # type: ignore[assignment]
    reuse_port: bool = False


class ConnectorsSettings(_Table):
    """The listener that connectors dial."""

    listen: Endpoints = ["tcp:8443"]
    public_address: Annotated[PublicAddress, BeforeValidator(_link_address)] | None = None
    certificate_lifetime: Annotated[Duration, Field(validate_default=True)] = "30d"  # type: ignore[assignment]
    renewal_grace: Annotated[DurationOrNever, Field(validate_default=True)] = "30d"  # type: ignore[assignment]
    unread_timeout: Annotated[Duration, Field(validate_default=True)] = "60s"  # type: ignore[assignment]
    proxy_protocol_from: list[Network] = []
    exempt_networks: list[Network] = []
    links_per_connector: Annotated[int, Field(ge=1, le=16)] = 2
    longest_silence: Annotated[Silence, Field(validate_default=True)] = "45s"  # type: ignore[assignment]


class WebSettings(_Table):
    """The API and the portals."""

    listen: Endpoints = ["tcp:8080:interface=127.0.0.1"]
    reuse_port: bool = False
    certificate: Annotated[Path, Field(strict=False)] | None = None
    private_key: Annotated[Path, Field(strict=False)] | None = None
    public_url: Annotated[str, AfterValidator(_web_url)] | None = None
    trusted_proxies: list[Network] = []


class FrontSettings(_Table):
    """One port for SSH, connectors and the web."""

    listen: Endpoints = []
    reuse_port: bool = False
    proxy_protocol_from: list[Network] = []


class MetricsSettings(_Table):
    """The listener that only monitoring reaches."""

    listen: Endpoints = []


class LogSettings(_Table):
    """How much is logged."""

    level: Level = "info"
    levels: dict[Area, Level] = {}

    @property
    def verbosity(self) -> Verbosity:
        """Both together."""
        return Verbosity(self.level, self.levels)


class AuditFileSettings(_Table):
    """The audit in a file."""

    path: Annotated[Path, Field(strict=False)] | None = None
    format: AuditFormat = "json"


class AuditSyslogSettings(_Table):
    """The audit to a syslog server over TLS."""

    address: Annotated[PublicAddress, BeforeValidator(_syslog_address)] | None = None
    ca: Annotated[Path, Field(strict=False)] | None = None
    format: AuditFormat = "json"


class AuditWebhookSettings(_Table):
    """The audit to a web address."""

    url: Annotated[str, AfterValidator(_webhook_url)] | None = None
    secret_file: Annotated[Path, Field(strict=False)] | None = None
    format: AuditFormat = "json"

    @model_validator(mode="after")
    def _is_signed(self) -> AuditWebhookSettings:
        if self.url is not None and self.secret_file is None:
            raise ValueError("a webhook is signed: set secret_file")
        return self


class AuditSettings(_Table):
    """Where the audit goes beside the store and the log."""

    spool: Annotated[SpoolBytes, Field(validate_default=True)] = "256MiB"  # type: ignore[assignment]
    file: AuditFileSettings = AuditFileSettings()
    syslog: AuditSyslogSettings = AuditSyslogSettings()
    webhook: AuditWebhookSettings = AuditWebhookSettings()


class TokensSettings(_Table):
    """One-time tokens."""

    lifetime: Annotated[Duration, Field(validate_default=True)] = "10m"  # type: ignore[assignment]


class SharesSettings(_Table):
    """What one user may take of a pod: an eighth of each pool by default."""

    sessions: Count = 625
    channels: Count = 625
    per_target: Count = 128
    pending: Count = 128
    opens_per_second: Count = 250
    checks: Count = 8


class PodSettings(_Table):
    """All of pod.toml."""

    name: Annotated[str, AfterValidator(_name)] = "pod-1"
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
        if (self.web.certificate is None) != (self.web.private_key is None):
            raise ValueError("web.certificate and web.private_key: set both or neither")
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


_MAY_BE_SECRET = frozenset({"database", "database.url", "audit.webhook", "audit.webhook.url"})
"""Whatever stands there wrongly isn't shown: it may be an address with a password or a token."""


def _fault(kind: type[BaseModel], origin: str, fault: Any) -> str:
    location: tuple[str | int, ...] = fault["loc"]
    key = ".".join(str(part) for part in location)
    if fault["type"] == "extra_forbidden":
        allowed = ", ".join(_table_at(kind, location[:-1]).model_fields)
        return f"{origin}: {key}: there is no such setting; allowed here: {allowed}"
    message = fault["msg"].removeprefix("Value error, ")
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
