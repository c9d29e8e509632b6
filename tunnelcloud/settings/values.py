"""The values that settings may have: text of a TOML file in, what the program uses out."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from tunnelcloud.config import parse_duration, parse_public_address, secret_path
from tunnelcloud.domain.commands import PublicAddress
from tunnelcloud.domain.names import BadName, read_host

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
    return _without_user(text)


def _without_user(address: str) -> str:
    if "@" in re.split(r"[/?#]", address.partition("://")[2])[0]:
        raise ValueError(
            "leave out the user name and the password before the host: nothing uses them"
        )
    return address


def _acme_directory(text: str) -> str:
    if not re.fullmatch(r"https://[!-~]+", text):
        raise ValueError('use an address such as "https://acme-v02.api.letsencrypt.org/directory"')
    return _without_user(text)


def _contact(text: str) -> str:
    if not re.fullmatch(r"[^@\s,?]+@[^@\s,?]+", text):
        raise ValueError('use an e-mail address such as "admin@example.com"')
    return text


def read_certificate_name(text: str) -> str:
    """Read a host name that a certificate by ACME may be for.

    :raise ValueError: with what is allowed.
    """
    try:
        name = read_host(text)
    except BadName as error:
        raise ValueError(str(error)) from None
    if name.replace(".", "").isdigit() or ":" in name:
        raise ValueError("use a host name: addresses get no certificate by ACME here")
    return name


def _syslog_address(value: object) -> PublicAddress:
    return value if isinstance(value, PublicAddress) else parse_public_address(value, 6514)


def _smtp_address(value: object) -> PublicAddress:
    return value if isinstance(value, PublicAddress) else parse_public_address(value, 587)


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
DatabaseUrl = Annotated[str, AfterValidator(read_database_url)]
SSHAddress = Annotated[PublicAddress, BeforeValidator(_ssh_address)]
LinkAddress = Annotated[PublicAddress, BeforeValidator(_link_address)]
SyslogAddress = Annotated[PublicAddress, BeforeValidator(_syslog_address)]
SmtpAddress = Annotated[PublicAddress, BeforeValidator(_smtp_address)]
PodName = Annotated[str, AfterValidator(_name)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
WebhookUrl = Annotated[str, AfterValidator(_webhook_url)]
AcmeDirectory = Annotated[str, AfterValidator(_acme_directory)]
Contact = Annotated[str, AfterValidator(_contact)]
CertificateName = Annotated[str, AfterValidator(read_certificate_name)]
File = Annotated[Path, Field(strict=False)]
AuditFormat = Literal["json", "ecs", "ocsf"]
Endpoints = list[str]
Count = Annotated[int, Field(ge=1)]


class Table(BaseModel):
    """A table of a settings file."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )
